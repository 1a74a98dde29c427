"""Train a tokenizer.pkl as nanochat does: rustbpe learns the merges, tiktoken's Encoding holds them, pickle keeps it.

    python bench/reference/train_tokenizer.py HUB tokenizer.pkl [VOCABULARY_SIZE]

Learns from the texts of the chat, quiz and sums tables under HUB; the same files give the same tokenizer.
"""

import pickle
import sys

import rustbpe
import tiktoken
from sft_reference import SPECIAL_TOKENS, load_rows

SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)


def texts(hub):
    for row in load_rows(hub, "HuggingFaceTB/smol-smoltalk", "default", "train"):
        for message in row["messages"]:
            yield message["content"]
    for row in load_rows(hub, "cais/mmlu", "auxiliary_train", "train", unwrap="train"):
        yield row["question"]
        yield from row["choices"]
    for row in load_rows(hub, "openai/gsm8k", "main", "train"):
        yield row["question"]
        yield row["answer"]


def main():
    hub, path = sys.argv[1:3]
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 32768
    trainer = rustbpe.Tokenizer()
    trainer.train_from_iterator(texts(hub), size - len(SPECIAL_TOKENS), pattern=SPLIT_PATTERN)
    ranks = {bytes(token): rank for token, rank in trainer.get_mergeable_ranks()}
    encoding = tiktoken.Encoding(
        name="rustbpe",
        pat_str=trainer.get_pattern(),
        mergeable_ranks=ranks,
        special_tokens={name: len(ranks) + i for i, name in enumerate(SPECIAL_TOKENS)},
    )
    with open(path, "wb") as file:
        pickle.dump(encoding, file)
    print(f"{path}: {len(ranks)} ranks + {len(SPECIAL_TOKENS)} special tokens = {encoding.n_vocab}")


if __name__ == "__main__":
    main()
