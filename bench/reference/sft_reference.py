"""The nanochat SFT pre-tokenizer's algorithm in Python: conversations in, paired token/mask `.bin` shards out.

Written from the specification in the plain way of a user's own script: everything in memory, one process, one
conversation at a time. shardmill's bytes and speed are compared with this program. README.md says how to run it.
"""

import argparse
import glob
import json
import os
import pickle
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager

import numpy as np
import tiktoken

SPECIAL_TOKENS = [
    "<|bos|>",
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
]

# One writer per token width, as llm.c's data writer has them: magic number, version, element type.
NARROW = (20240520, 1, np.uint16)
WIDE = (20240801, 7, np.uint32)
HEADER_WORDS = 256

SEED = 42
TEST_SEED_OFFSET = 10_000_000
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
LETTERS = ("A", "B", "C", "D")


class Timings:
    """Seconds per phase; phases do not nest."""

    def __init__(self):
        self.seconds = defaultdict(float)

    @contextmanager
    def phase(self, name):
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


# ---- tables ----------------------------------------------------------------------------------------------


def load_rows(hub, repo, config, split, unwrap=None):
    """Rows of one split as dicts, in the order of `shuffle(seed=42)`; `unwrap` names a struct column to open."""
    folder = os.path.join(hub, "datasets", *repo.split("/"))
    try:
        import datasets
    except ImportError:
        return load_rows_with_pyarrow(folder, config, split, unwrap)
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        table = datasets.load_dataset(folder, config, split=split, cache_dir=cache)
        if unwrap:
            table = table.map(lambda row: row[unwrap], remove_columns=[unwrap])
        return list(table.shuffle(seed=SEED))


def load_rows_with_pyarrow(folder, config, split, unwrap):
    """The same without `datasets`: the README's globs, pyarrow, and NumPy's permutation."""
    import pyarrow.parquet as pq
    import yaml

    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        header = yaml.safe_load(file.read().split("---\n")[1])
    configs = {entry["config_name"]: entry["data_files"] for entry in header["configs"]}
    pattern = {entry["split"]: entry["path"] for entry in configs[config]}[split]
    rows = []
    for path in sorted(glob.glob(os.path.join(folder, pattern))):
        rows.extend(pq.ParquetFile(path).read().to_pylist())
    if unwrap:
        rows = [row[unwrap] for row in rows]
    return [rows[i] for i in np.random.default_rng(SEED).permutation(len(rows))]


# ---- rows to conversations -------------------------------------------------------------------------------


def smoltalk_conversation(row):
    messages = row["messages"]
    assert len(messages) >= 1, "SmolTalk: no messages"
    turns = messages
    if messages[0]["role"] == "system":
        turns = messages[1:]
    else:
        assert len(messages) >= 2, "SmolTalk: fewer than 2 messages"
    for i, message in enumerate(turns):
        expected = "user" if i % 2 == 0 else "assistant"
        assert message["role"] == expected, f"SmolTalk: message {i} is from {message['role']}, not {expected}"
        assert isinstance(message["content"], str), f"SmolTalk: content of message {i} is no string"
    return {"messages": messages}


def render_mc(question, letters, choices):
    query = f"Multiple Choice question: {question}\n"
    query += "".join(f"- {choice}={letter}\n" for letter, choice in zip(letters, choices))
    query += "\nRespond only with the letter of the correct answer."
    return query


def mmlu_conversation(row):
    assert len(row["choices"]) == 4, f"MMLU: {len(row['choices'])} choices, not 4"
    return {
        "messages": [
            {"role": "user", "content": render_mc(row["question"], LETTERS, row["choices"])},
            {"role": "assistant", "content": LETTERS[row["answer"]]},
        ]
    }


def gsm8k_conversation(row):
    parts = []
    for piece in re.split(r"(<<[^>]+>>)", row["answer"]):
        if piece.startswith("<<") and piece.endswith(">>"):
            inner = piece[2:-2]
            expression, result = inner.rsplit("=", 1) if "=" in inner else (inner, "")
            parts.append({"type": "python", "text": expression})
            parts.append({"type": "python_output", "text": result})
        else:
            parts.append({"type": "text", "text": piece})
    return {
        "messages": [
            {"role": "user", "content": row["question"]},
            {"role": "assistant", "content": parts},
        ]
    }


def custom_json_conversations(path):
    if path is None or not os.path.exists(path):
        return []
    conversations = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if not line:
                continue
            messages = json.loads(line)
            assert isinstance(messages, list), "CustomJSON: a line is no list"
            assert len(messages) >= 2, "CustomJSON: fewer than 2 messages"
            for i, message in enumerate(messages):
                assert "role" in message, f"CustomJSON: message {i} has no role"
                assert "content" in message, f"CustomJSON: message {i} has no content"
                expected = "user" if i % 2 == 0 else "assistant"
                assert message["role"] == expected, f"CustomJSON: message {i} is from {message['role']}"
                assert isinstance(message["content"], str), f"CustomJSON: content of message {i} is no string"
            conversations.append({"messages": messages})
    return conversations


# ---- generated conversations -----------------------------------------------------------------------------


def load_words(path):
    with open(path, encoding="utf-8") as file:
        return [word for word in (line.strip() for line in file) if word]


def simple_spelling_conversations(words, size, split):
    words = words.copy()
    random.Random(SEED).shuffle(words)
    conversations = []
    for index in range(size):
        rng = random.Random(index if split == "train" else TEST_SEED_OFFSET + index)
        word = rng.choice(words)
        conversations.append(
            {
                "messages": [
                    {"role": "user", "content": f"Spell the word: {word}"},
                    {"role": "assistant", "content": f"{word}:{','.join(word)}"},
                ]
            }
        )
    return conversations


def fill(template, **values):
    """Puts values in the place of `{names}`, in one pass, so that a value is never searched itself."""
    return re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), template)


def spelling_bee_conversation(rng, words, phrases):
    # The order and the number of the draws are part of the format: every line below that calls rng draws once.
    word = rng.choice(words)
    letter = rng.choice(word) if rng.random() < 0.9 else rng.choice(ALPHABET)
    template = rng.choice(phrases["question_templates"])
    if rng.random() < 0.3:
        template = template.lower()
    letter_quote = rng.choice(["", "'", '"'])
    word_quote = rng.choice(["", "'", '"'])
    question = fill(
        template, letter=f"{letter_quote}{letter}{letter_quote}", word=f"{word_quote}{word}{word_quote}"
    )
    if rng.random() < 0.5:
        question += "?"

    count = word.count(letter)
    steps = fill(phrases["manual_head"], letter=letter, word=word, spelled=",".join(word))
    running = 0
    for i, char in enumerate(word, 1):
        if char == letter:
            running += 1
            steps += fill(phrases["hit_line"], i=i, char=char, n=running)
        else:
            steps += fill(phrases["miss_line"], i=i, char=char)
    steps += fill(phrases["manual_tail"], n=running)
    return {
        "messages": [
            {"role": "user", "content": question},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": steps},
                    {"type": "text", "text": phrases["verify_lead"]},
                    {"type": "python", "text": f"'{word}'.count('{letter}')"},
                    {"type": "python_output", "text": str(count)},
                    {"type": "text", "text": fill(phrases["final"], count=count)},
                ],
            },
        ]
    }


def spelling_bee_conversations(words, phrases, size, split):
    offset = 0 if split == "train" else TEST_SEED_OFFSET
    return [spelling_bee_conversation(random.Random(offset + i), words, phrases) for i in range(size)]


# ---- tokenizer -------------------------------------------------------------------------------------------


def load_encoding(tokenizer):
    """`gpt2` with the special tokens after its vocabulary, or the Encoding object in a tokenizer.pkl."""
    if tokenizer.endswith(".pkl"):
        with open(tokenizer, "rb") as file:
            return pickle.load(file)
    base = tiktoken.get_encoding(tokenizer)
    special = dict(base._special_tokens)
    special.update({name: base.n_vocab + i for i, name in enumerate(SPECIAL_TOKENS)})
    return tiktoken.Encoding(
        name=f"{tokenizer}-nanochat",
        pat_str=base._pat_str,
        mergeable_ranks=base._mergeable_ranks,
        special_tokens=special,
    )


class Renderer:
    """A conversation as token ids, and for each id whether it is trained on (1) or not (0)."""

    def __init__(self, encoding):
        self.encode = encoding.encode_ordinary
        ids = [encoding.encode_single_token(name) for name in SPECIAL_TOKENS]
        (
            self.bos,
            self.user_start,
            self.user_end,
            self.assistant_start,
            self.assistant_end,
            self.python_start,
            self.python_end,
            self.output_start,
            self.output_end,
        ) = ids

    def render_conversation(self, conversation, max_tokens):
        ids, mask = [], []

        def add(tokens, trained):
            if isinstance(tokens, int):
                tokens = [tokens]
            ids.extend(tokens)
            mask.extend([trained] * len(tokens))

        messages = conversation["messages"]
        if messages[0]["role"] == "system":
            assert messages[1]["role"] == "user", "a system message must be followed by the user's"
            merged = {"role": "user", "content": messages[0]["content"] + "\n\n" + messages[1]["content"]}
            messages = [merged, *messages[2:]]
        assert len(messages) >= 1, "a conversation without messages"

        add(self.bos, 0)
        for i, message in enumerate(messages):
            expected = "user" if i % 2 == 0 else "assistant"
            assert message["role"] == expected, f"message {i} is from {message['role']}, not {expected}"
            content = message["content"]
            if message["role"] == "user":
                assert isinstance(content, str), "a user's content must be a string"
                add(self.user_start, 0)
                add(self.encode(content), 0)
                add(self.user_end, 0)
                continue
            add(self.assistant_start, 0)
            if isinstance(content, str):
                add(self.encode(content), 1)
            elif isinstance(content, list):
                for part in content:
                    tokens = self.encode(part["text"])
                    if part["type"] == "text":
                        add(tokens, 1)
                    elif part["type"] == "python":
                        add(self.python_start, 1)
                        add(tokens, 1)
                        add(self.python_end, 1)
                    elif part["type"] == "python_output":
                        add(self.output_start, 0)
                        add(tokens, 0)
                        add(self.output_end, 0)
                    else:
                        raise ValueError(f"unknown part type {part['type']}")
            else:
                raise ValueError(f"unknown content type {type(content)}")
            add(self.assistant_end, 1)
        return ids[:max_tokens], mask[:max_tokens]


# ---- shards ----------------------------------------------------------------------------------------------


def write_shard(path, values, kind):
    magic, version, dtype = kind
    assert len(values) < 2**31, "a shard must hold fewer than 2^31 tokens"
    assert values.dtype == dtype
    header = np.zeros(HEADER_WORDS, dtype="<i4")
    header[:3] = magic, version, len(values)
    with open(path, "wb") as file:
        file.write(header.tobytes())
        file.write(values.tobytes())


class Packer:
    """Fills shards of `shard_size` tokens to the brim; a conversation may go on in the next one."""

    def __init__(self, folder, shard_size, kind, timings):
        self.folder = folder
        self.shard_size = shard_size
        self.kind = kind
        self.timings = timings
        self.tokens = np.empty(shard_size, dtype=kind[2])
        self.mask = np.empty(shard_size, dtype=kind[2])
        self.count = 0
        self.shard_index = 0  # goes on counting from val to train

    def pack(self, split, ids, mask):
        ids = np.array(ids, dtype=self.kind[2])
        mask = np.array(mask, dtype=self.kind[2])
        pos = 0
        while pos < len(ids):
            n = min(len(ids) - pos, self.shard_size - self.count)
            self.tokens[self.count : self.count + n] = ids[pos : pos + n]
            self.mask[self.count : self.count + n] = mask[pos : pos + n]
            self.count += n
            pos += n
            if self.count == self.shard_size:
                self.flush(split)

    def flush(self, split):
        if self.count == 0:
            return
        started = time.perf_counter()
        stem = os.path.join(self.folder, f"sft_{split}_{self.shard_index:06d}")
        write_shard(f"{stem}.bin", self.tokens[: self.count], self.kind)
        write_shard(f"{stem}_mask.bin", self.mask[: self.count], self.kind)
        self.shard_index += 1
        self.count = 0
        self.timings.seconds["write"] += time.perf_counter() - started


def process_split(split, conversations, renderer, packer, max_seq_len, timings):
    """Renders and packs one split's conversations in order; returns its figures for config.json."""
    first_shard = packer.shard_index
    tokens = truncated = 0
    render_seconds = pack_seconds = 0.0
    written_before = timings.seconds["write"]
    for conversation in conversations:
        started = time.perf_counter()
        ids, mask = renderer.render_conversation(conversation, max_seq_len)
        rendered = time.perf_counter()
        if len(ids) == max_seq_len:  # also counts one that is exactly as long, as the original does
            truncated += 1
        tokens += len(ids)
        packer.pack(split, ids, mask)
        render_seconds += rendered - started
        pack_seconds += time.perf_counter() - rendered
    timings.seconds["tokenize"] += render_seconds
    timings.seconds["pack"] += pack_seconds - (timings.seconds["write"] - written_before)
    packer.flush(split)
    return {
        f"{split}_conversations": len(conversations),
        f"{split}_tokens": tokens,
        f"{split}_shards": packer.shard_index - first_shard,
        f"{split}_truncated": truncated,
    }


# ---- the whole run ---------------------------------------------------------------------------------------


def load_val(args, timings):
    with timings.phase("load"):
        smoltalk = load_rows(args.hub, "HuggingFaceTB/smol-smoltalk", "default", "test")
        mmlu = load_rows(args.hub, "cais/mmlu", "all", "test")[: args.mmlu_stop]
        gsm8k = load_rows(args.hub, "openai/gsm8k", "main", "test")[: args.gsm8k_stop]
    with timings.phase("format"):
        return {
            "SmolTalk": [smoltalk_conversation(row) for row in smoltalk],
            "MMLU": [mmlu_conversation(row) for row in mmlu],
            "GSM8K": [gsm8k_conversation(row) for row in gsm8k],
        }


def load_train(args, timings):
    with timings.phase("load"):
        smoltalk = load_rows(args.hub, "HuggingFaceTB/smol-smoltalk", "default", "train")
        mmlu = load_rows(args.hub, "cais/mmlu", "auxiliary_train", "train", unwrap="train")
        gsm8k = load_rows(args.hub, "openai/gsm8k", "main", "train")
        words = load_words(args.words) if args.words else []
        phrases = None
        if args.phrasebook:
            with open(args.phrasebook, encoding="utf-8") as file:
                phrases = json.load(file)
    with timings.phase("format"):
        sources = {
            "SmolTalk": [smoltalk_conversation(row) for row in smoltalk],
            "MMLU": [mmlu_conversation(row) for row in mmlu],
            "GSM8K": [gsm8k_conversation(row) for row in gsm8k] * 2,
            "CustomJSON": custom_json_conversations(args.identity) * 2,
        }
    with timings.phase("generate"):
        sources["SimpleSpelling"] = simple_spelling_conversations(words, args.simple_spelling, "train")
        sources["SpellingBee"] = spelling_bee_conversations(words, phrases, args.spelling_bee, "train")
    return sources


def concatenate_and_shuffle(sources, timings):
    with timings.phase("shuffle"):
        conversations = [conversation for source in sources.values() for conversation in source]
        random.Random(SEED).shuffle(conversations)
        return conversations


def run(args):
    timings = Timings()
    started = time.perf_counter()
    with timings.phase("tokenizer"):
        encoding = load_encoding(args.tokenizer)
        renderer = Renderer(encoding)
    kind = NARROW if encoding.n_vocab <= 65536 else WIDE
    os.makedirs(args.out, exist_ok=True)

    val = load_val(args, timings)
    train = load_train(args, timings)
    packer = Packer(args.out, args.shard_size, kind, timings)
    figures = {}
    for split, sources in (("val", val), ("train", train)):
        conversations = concatenate_and_shuffle(sources, timings)
        figures |= process_split(split, conversations, renderer, packer, args.max_seq_len, timings)

    config = {
        "max_seq_len": args.max_seq_len,
        "shard_size": args.shard_size,
        "bos_id": renderer.bos,
        "vocab_size": encoding.n_vocab,
        **figures,
        "train_source_counts": {name: len(source) for name, source in train.items()},
        "val_source_counts": {name: len(source) for name, source in val.items()},
    }
    with open(os.path.join(args.out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)

    if args.timings:
        seconds = {name: round(value, 3) for name, value in timings.seconds.items()}
        seconds["total"] = round(time.perf_counter() - started, 3)
        print(json.dumps(seconds), file=sys.stderr)
    return config


def parse_arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hub", required=True, help="folder laid out datasets/<org>/<name>/<files>")
    parser.add_argument("--tokenizer", default="gpt2", help="gpt2, or the path of a tokenizer.pkl")
    parser.add_argument("--max-seq-len", type=int, default=2048)
    parser.add_argument("--shard-size", type=int, default=10_000_000, help="tokens per shard")
    parser.add_argument("--words", help="word list, one word a line")
    parser.add_argument("--phrasebook", help="JSON of the spelling bee's sentences")
    parser.add_argument("--identity", help="JSONL of conversations; absent means none")
    parser.add_argument("--simple-spelling", type=int, default=200_000)
    parser.add_argument("--spelling-bee", type=int, default=80_000)
    parser.add_argument("--mmlu-stop", type=int, default=5200)
    parser.add_argument("--gsm8k-stop", type=int, default=420)
    parser.add_argument("--out", required=True)
    parser.add_argument("--timings", action="store_true", help="seconds per phase as JSON on stderr")
    args = parser.parse_args(argv)
    if (args.simple_spelling or args.spelling_bee) and not args.words:
        parser.error("--simple-spelling and --spelling-bee need --words")
    if args.spelling_bee and not args.phrasebook:
        parser.error("--spelling-bee needs --phrasebook")
    return args


if __name__ == "__main__":
    run(parse_arguments())
