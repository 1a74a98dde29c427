"""SlamKit's ARC-Easy example, from its specification: text lines, and ChatML tokens, for each split of a hub folder.

    python bench/reference/slamkit_arc.py --hub HUB --tokenizer tokenizer.json --out OUT

Needs pyarrow and tokenizers. Writes arc_easy_{split}.jsonl and arc_easy_{split}_tokens.jsonl.
"""

import argparse
import json
from pathlib import Path

import pyarrow.parquet as parquet
from tokenizers import AddedToken, Tokenizer


def text_of(row):
    choices, labels = row['choices']['text'], row['choices']['label']
    assert row['answerKey'] in labels
    lines = ''.join(f'- {choice}={label}\n' for choice, label in zip(choices, labels))
    question = f'Multiple Choice question: {row["question"]}\n{lines}'
    user = f'{question}\nRespond only with the letter of the correct answer.'
    return {'user_text': user, 'assistant_text': row['answerKey']}


def tokens_of(row, tokenizer):
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
    start, end = tokenizer.token_to_id('<|im_start|>'), tokenizer.token_to_id('<|im_end|>')
    newline = encode('\n')[0]
    user = [start, *encode('user'), newline, *encode(row['user_text']), end, newline]
    answer = [start, *encode('assistant'), newline, *encode(row['assistant_text']), end]
    return {
        'input_ids': user + answer,
        'labels': [-100] * len(user) + answer,
        'attention_mask': [1] * (len(user) + len(answer)),
    }


def main():
    parser = argparse.ArgumentParser()
    for name in ('hub', 'tokenizer', 'out'):
        parser.add_argument(f'--{name}', type=Path, required=True)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ('<|im_start|>', '<|im_end|>')])
    args.out.mkdir(parents=True, exist_ok=True)
    for split in ('train', 'validation', 'test'):
        folder = args.hub / 'datasets' / 'allenai' / 'ai2_arc' / 'ARC-Easy'
        rows = [text_of(row) for path in sorted(folder.glob(f'{split}-*.parquet')) for row in parquet.read_table(path).to_pylist()]
        with open(args.out / f'arc_easy_{split}.jsonl', 'w') as file:
            file.writelines(json.dumps(row) + '\n' for row in rows)
        with open(args.out / f'arc_easy_{split}_tokens.jsonl', 'w') as file:
            file.writelines(json.dumps(tokens_of(row, tokenizer)) + '\n' for row in rows)


if __name__ == '__main__':
    main()
