"""Build test/fixtures/golden-sft/ from the vectors: their tiny sources as a hub folder, and the digests to expect.

    python bench/reference/make_golden.py VECTORS_FOLDER test/fixtures/golden-sft

VECTORS_FOLDER holds sft-shards.json and tiny-tokenizer.json. check_golden.py then runs the reference on the result.
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MESSAGE = pa.struct([("content", pa.string()), ("role", pa.string())])
SMOLTALK = pa.schema([("messages", pa.list_(MESSAGE)), ("source", pa.string())])
MMLU_FIELDS = [
    ("question", pa.string()),
    ("subject", pa.string()),
    ("choices", pa.list_(pa.string())),
    ("answer", pa.int64()),
]
MMLU = pa.schema(MMLU_FIELDS)
MMLU_NESTED = pa.schema([("train", pa.struct(MMLU_FIELDS))])
GSM8K = pa.schema([("question", pa.string()), ("answer", pa.string())])

ROW_GROUP = 3  # small, so that even these few rows make several


def write_dataset(hub, repo, configs, files):
    """`configs`: {config: {split: glob}}; `files`: {path: (schema, rows)}."""
    folder = hub / "datasets" / repo
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    lines += ["---", "", f"A handful of rows in the shape of {repo}, for tests.", ""]
    for path, (schema, rows) in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table, folder / path, compression="snappy", row_group_size=ROW_GROUP)
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8", newline="\n")


def main():
    vectors, out = Path(sys.argv[1]), Path(sys.argv[2])
    golden = json.loads((vectors / "sft-shards.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((vectors / "tiny-tokenizer.json").read_text(encoding="utf-8"))
    sources, sizes = golden["sources"], golden["sizes"]
    hub = out / "hub"

    def chat(rows):
        return [{"messages": row["messages"], "source": "vectors"} for row in rows]

    train = chat(sources["smoltalk_train"])
    write_dataset(
        hub,
        "HuggingFaceTB/smol-smoltalk",
        {"default": {"train": "data/train-*", "test": "data/test-*"}},
        {
            "data/train-00000-of-00002.parquet": (SMOLTALK, train[:5]),
            "data/train-00001-of-00002.parquet": (SMOLTALK, train[5:]),
            "data/test-00000-of-00001.parquet": (SMOLTALK, chat(sources["smoltalk_test"])),
        },
    )
    write_dataset(
        hub,
        "cais/mmlu",
        {"all": {"test": "all/test-*"}, "auxiliary_train": {"train": "auxiliary_train/train-*"}},
        {
            "all/test-00000-of-00001.parquet": (MMLU, sources["mmlu_all_test"]),
            "auxiliary_train/train-00000-of-00001.parquet": (
                MMLU_NESTED,
                [{"train": row} for row in sources["mmlu_auxiliary_train"]],
            ),
        },
    )
    write_dataset(
        hub,
        "openai/gsm8k",
        {"main": {"train": "main/train-*", "test": "main/test-*"}},
        {
            "main/train-00000-of-00001.parquet": (GSM8K, sources["gsm8k_train"]),
            "main/test-00000-of-00001.parquet": (GSM8K, sources["gsm8k_test"]),
        },
    )

    (out / "identity_conversations.jsonl").write_text(
        sources["custom_json_file_text"], encoding="utf-8", newline="\n"
    )
    (out / "words.txt").write_text("\n".join(sources["words"]) + "\n", encoding="utf-8", newline="\n")
    phrasebook = json.dumps(sources["phrasebook"], ensure_ascii=False, indent=2) + "\n"
    (out / "phrasebook.json").write_text(phrasebook, encoding="utf-8", newline="\n")
    (out / "tokenizer.pkl").write_bytes(bytes.fromhex(tokenizer["tokenizer_pkl_hex"]))
    expected = {
        "sizes": {
            "simple_spelling": sizes["SimpleSpelling"],
            "spelling_bee": sizes["SpellingBee"],
            "mmlu_stop": sizes["val_cap_MMLU"],
            "gsm8k_stop": sizes["val_cap_GSM8K"],
        },
        "runs": [
            {
                "shard_size": run["shard_size"],
                "max_seq_len": run["max_seq_len"],
                "files": {
                    name: {"bytes": file["bytes"], "sha256": file["sha256"]}
                    for name, file in sorted(run["files"].items())
                },
            }
            for run in golden["runs"]
        ],
    }
    (out / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
