"""Run the reference on test/fixtures/golden-sft and compare every file with expected.json; exit 1 on a difference.

    python bench/reference/check_golden.py test/fixtures/golden-sft
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import sft_reference


def digests(folder):
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.iterdir())
    }


def main():
    golden = Path(sys.argv[1])
    expected = json.loads((golden / "expected.json").read_text(encoding="utf-8"))
    sizes = expected["sizes"]
    failed = False
    for run in expected["runs"]:
        with tempfile.TemporaryDirectory() as out:
            arguments = {
                "--hub": golden / "hub",
                "--tokenizer": golden / "tokenizer.pkl",
                "--max-seq-len": run["max_seq_len"],
                "--shard-size": run["shard_size"],
                "--words": golden / "words.txt",
                "--phrasebook": golden / "phrasebook.json",
                "--identity": golden / "identity_conversations.jsonl",
                "--simple-spelling": sizes["simple_spelling"],
                "--spelling-bee": sizes["spelling_bee"],
                "--mmlu-stop": sizes["mmlu_stop"],
                "--gsm8k-stop": sizes["gsm8k_stop"],
                "--out": out,
            }
            flat = [str(word) for pair in arguments.items() for word in pair]
            sft_reference.run(sft_reference.parse_arguments(flat))
            written = digests(Path(out))
        wanted = run["files"]
        names = sorted(wanted.keys() | written.keys())
        different = [name for name in names if wanted.get(name) != written.get(name)]
        title = f"shard_size={run['shard_size']} max_seq_len={run['max_seq_len']}"
        print(f"{title}: {len(names) - len(different)} of {len(names)} files equal")
        for name in different:
            print(f"  {name}: expected {wanted.get(name)}, got {written.get(name)}")
        failed = failed or bool(different)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
