"""Writes test/fixtures/jinja/{tokenizer,expected}.json: what transformers makes of the templates beside them.

    python bench/reference/make_jinja.py

Needs transformers, tokenizers and jinja2. The tokenizer is that of test/fixtures/vectors/tiny-tokenizer.json, with NFC
and added tokens. `assistant` is what return_assistant_tokens_mask says, for templates with generation blocks.
"""

import json
import random
from pathlib import Path

from transformers import PreTrainedTokenizerFast

FIXTURES = Path(__file__).parents[2] / 'test' / 'fixtures'
HERE = FIXTURES / 'jinja'
ADDED = ['<s>', '</s>', '<|im_start|>', '<|im_end|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>']
PLAIN_ADDED = ['<think>', '</think>', '[INST]', '[/INST]']


def byte_chars():
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or (b >= 0xA1 and b != 0xAD)]
    chars, extra = {}, 0x100
    for byte in range(256):
        if byte in printable:
            chars[byte] = chr(byte)
        else:
            chars[byte], extra = chr(extra), extra + 1
    return chars


def tokenizer_json():
    tiny = json.loads((FIXTURES / 'vectors' / 'tiny-tokenizer.json').read_text())
    chars = byte_chars()
    texts = [''.join(chars[b] for b in bytes.fromhex(h)) for h in tiny['mergeable_ranks_hex']]
    known = set(texts)
    merges = [
        [text[:i], text[i:]] for text in texts for i in range(1, len(text)) if text[:i] in known and text[i:] in known
    ]
    added = [
        {
            'id': len(texts) + i, 'content': content, 'single_word': False, 'lstrip': False, 'rstrip': False,
            'normalized': content in PLAIN_ADDED, 'special': content in ADDED,
        }
        for i, content in enumerate(ADDED + PLAIN_ADDED)
    ]
    split = {'type': 'Split', 'pattern': {'Regex': tiny['pattern']}, 'behavior': 'Isolated', 'invert': False}
    level = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': False, 'use_regex': False}
    return {
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added,
        'normalizer': {'type': 'NFC'},
        'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [split, level]},
        'post_processor': None,
        'decoder': level,
        'model': {
            'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None,
            'end_of_word_suffix': None, 'fuse_unk': False, 'byte_fallback': False, 'ignore_merges': False,
            'vocab': {text: i for i, text in enumerate(texts)}, 'merges': merges,
        },
    }


WORDS = [
    'hello', 'What is it?', ' ', '\n', '\n\n', '  ', '\t', 'Grüße', '你好', '🙂', 'e\u0301', '\u00a0', '\ufeff', '\x1c',
    '\x85', '<|im_end|>', '<b>', '42', "don't", '[INST]', '>\u0338',
]
THOUGHTS = ['<think>\nhm\n</think>\n\nyes', '<think>hm</think>no', '</think>', 'a</think>b']


def conversations():
    chance = random.Random(7)
    text = lambda most: ''.join(chance.choice(WORDS) for _ in range(chance.randint(0, most)))  # noqa: E731
    for _ in range(24):
        messages = [{'role': 'system', 'content': text(3)}] if chance.random() < 0.3 else []
        for _ in range(chance.randint(1, 3)):
            messages.append({'role': 'user', 'content': text(4)})
            messages.append({'role': 'assistant', 'content': text(4)})
        if chance.random() < 0.2:
            messages.append({'role': 'user', 'content': text(2)})
        yield messages
    for answer in ['yes', ' yes', 'yes\n', '', '\n \n', *THOUGHTS]:
        once = [{'role': 'user', 'content': 'q'}, {'role': 'assistant', 'content': answer}]
        yield once
        yield once + once


def main():
    (HERE / 'tokenizer.json').write_text(json.dumps(tokenizer_json(), ensure_ascii=True) + '\n')
    special = {'bos_token': '<s>', 'eos_token': '</s>'}
    (HERE / 'tokenizer_config.json').write_text(json.dumps(special | {'eos_token': {'content': '</s>'}}) + '\n')
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / 'tokenizer.json'), **special)
    expected = {'conversations': list(conversations()), 'templates': {}}
    for path in sorted(HERE.glob('*.jinja')):
        source = path.read_text()
        blocks = 'endgeneration' in source
        rows = []
        for messages in expected['conversations']:
            try:
                found = tokenizer.apply_chat_template(
                    messages, chat_template=source, tokenize=True, return_dict=True, return_assistant_tokens_mask=blocks
                )
            except Exception as error:  # noqa: BLE001 - a template may refuse a conversation
                rows.append({'refused': str(error)})
                continue
            row = {'ids': list(found['input_ids'])}
            if blocks:
                row['assistant'] = ''.join(str(bit) for bit in found['assistant_masks'])
            rows.append(row)
        expected['templates'][path.name] = rows
    (HERE / 'expected.json').write_text(json.dumps(expected, ensure_ascii=True) + '\n')


if __name__ == '__main__':
    main()
