"""Fill tiktoken's own cache from the npm package `tiktoken`, so that the Python one need not download its ranks.

    python bench/reference/tiktoken_cache.py node_modules/tiktoken/encoders CACHE_DIR
    TIKTOKEN_CACHE_DIR=CACHE_DIR python bench/reference/sft_reference.py …

The published files follow from the ranks. Their sha256 is known and is checked here, so what is written is either
exactly the published file or nothing.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

BASE_URL = "https://openaipublic.blob.core.windows.net/"
SHA256 = {
    "gpt-2/encodings/main/vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "gpt-2/encodings/main/encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "encodings/cl100k_base.tiktoken": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "encodings/o200k_base.tiktoken": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}


def read_ranks(path):
    """{token bytes: rank} of the npm package's encoder file: lines of `! first-rank token token …`, base64."""
    ranks = {}
    for line in json.loads(path.read_text(encoding="utf-8"))["bpe_ranks"].splitlines():
        _, first, *tokens = line.split(" ")
        for offset, token in enumerate(tokens):
            ranks[base64.b64decode(token)] = int(first) + offset
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def printable_bytes():
    """GPT-2's byte alphabet: printable Latin-1 stands for itself, every other byte for a character from U+0100."""
    alphabet, following = {}, 256
    for byte in range(256):
        if chr(byte).isprintable() and chr(byte) != " ":
            alphabet[byte] = chr(byte)
        else:
            alphabet[byte] = chr(following)
            following += 1
    return alphabet


def merge_of(token, ranks):
    """The two tokens whose merge made this one: byte-pair merging with all lower ranks leaves exactly two."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        at = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], 1 << 30))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def gpt2_files(ranks):
    alphabet = printable_bytes()

    def shown(token):
        return "".join(alphabet[byte] for byte in token)

    merges = [" ".join(shown(part) for part in merge_of(token, ranks)) for token in ranks if len(token) > 1]
    vocabulary = {shown(token): rank for token, rank in ranks.items()} | {"<|endoftext|>": len(ranks)}
    yield "gpt-2/encodings/main/vocab.bpe", "#version: 0.2\n" + "\n".join(merges) + "\n"
    yield "gpt-2/encodings/main/encoder.json", json.dumps(vocabulary)


def rank_file(name, ranks):
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()]
    yield f"encodings/{name}.tiktoken", "".join(lines)


def main():
    encoders, cache = Path(sys.argv[1]), Path(sys.argv[2])
    cache.mkdir(parents=True, exist_ok=True)
    for name in ("gpt2", "cl100k_base", "o200k_base"):
        ranks = read_ranks(encoders / f"{name}.json")
        for path, text in gpt2_files(ranks) if name == "gpt2" else rank_file(name, ranks):
            data = text.encode("utf-8")
            digest = hashlib.sha256(data).hexdigest()
            if digest != SHA256[path]:
                sys.exit(f"{path}: sha256 {digest}, expected {SHA256[path]}: not the ranks of {name}")
            (cache / hashlib.sha1((BASE_URL + path).encode()).hexdigest()).write_bytes(data)
            print(f"{path}: {len(data)} bytes, sha256 as published")


if __name__ == "__main__":
    main()
