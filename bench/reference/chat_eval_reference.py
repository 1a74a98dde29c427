"""nanochat's chat evaluation files in Python, to compare `shardmill build recipes/nanochat-chat-eval.yaml` with.

    python bench/reference/chat_eval_reference.py HUB SHARDMILL_OUT REFERENCE_OUT

Writes each task with torch.save and says whether the objects and the bytes are equal.
"""

import glob
import hashlib
import os
import sys

import numpy as np
import pyarrow.parquet as pq
import tiktoken
import torch

b = tiktoken.get_encoding('gpt2')
sp = ["<|bos|>","<|user_start|>","<|user_end|>","<|assistant_start|>"]
base = b.n_vocab
ids = {n: base+i for i,n in enumerate(sp)}
H, GOT, REF = os.path.join(sys.argv[1], 'datasets'), sys.argv[2], sys.argv[3]
def rows(p):
    fs=sorted(glob.glob(p)); return [r for f in fs for r in pq.read_table(f).to_pylist()]
for label, pat in [('MMLU','cais/mmlu/all/test*.parquet'),('ARC-Easy','allenai/ai2_arc/ARC-Easy/test*.parquet'),('ARC-Challenge','allenai/ai2_arc/ARC-Challenge/test*.parquet')]:
    t=rows(f'{H}/{pat}'); perm=np.random.default_rng(42).permutation(len(t)); seqs=[]; ns=set()
    for idx,k in enumerate(perm):
        r=t[int(k)]
        if label=='MMLU': L=list('ABCD'); ch=r['choices']; gold=int(r['answer'])
        else: L=list(r['choices']['label']); ch=r['choices']['text']; gold=L.index(r['answerKey'])
        q=f"Multiple Choice question: {r['question']}\n"+"".join(f"- {c}={l}\n" for l,c in zip(L,ch))+"\nRespond only with the letter of the correct answer."
        ns.add(len(L))
        toks=([ids['<|bos|>'],ids['<|user_start|>']]+b.encode_ordinary(q)+[ids['<|user_end|>']])[:2048]+[ids['<|assistant_start|>']]
        if len(toks)>2048: continue
        lt=[b.encode_ordinary(l) for l in L]; assert all(len(x)==1 for x in lt)
        seqs.append({'tokens':toks,'answer_pos':len(toks)-1,'letter_token_ids':[x[0] for x in lt],'gold':gold,'example_idx':idx})
    rb=1.0/ns.pop() if len(ns)==1 else sum(1.0/len(s['letter_token_ids']) for s in seqs)/len(seqs)
    obj={'task_type':'categorical','label':label,'num_examples':len(seqs),'random_baseline':rb,'sequences':seqs}
    got=torch.load(f'{GOT}/{label}.pt',weights_only=True)
    os.makedirs(REF,exist_ok=True); torch.save(obj,f'{REF}/{label}.pt')
    a=open(f'{GOT}/{label}.pt','rb').read(); c=open(f'{REF}/{label}.pt','rb').read()
    print(label,len(seqs),len(t),'objects equal',got==obj,'bytes',len(a),len(c),'differing',sum(x!=y for x,y in zip(a,c)), hashlib.sha256(a).hexdigest())
