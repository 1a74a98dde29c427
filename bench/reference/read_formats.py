#!/usr/bin/env python3
"""Reads output folders with the readers that the formats are made for, and prints a digest of what they found.

    python read_formats.py FOLDER...

A folder is one that `shardmill build` wrote, its manifest names the format. For each split, in order, one line
{"format", "reader", "split", "conversations", "tokens", "trained", "sha256"}: sha256 over, for each conversation, the
number of tokens, the ids and the masks, all as little-endian uint32. Of streams (llmc-bin, npy) the whole split is one
conversation; packed rows are taken apart by their segment ids, and digested in the order of their text, since
packing puts them in another one. A line {"format", "files"} before them has the sha256 of every file that was there to
be read. test/fixtures/output-formats.jsonl holds what it prints for the recipe of test/outputs/support.ts. Needs numpy, torch, pyarrow, pandas, datasets, duckdb; mosaicml-streaming for mds.
"""
import hashlib
import json
import os
import struct
import sys

import numpy as np


def llmc(folder, names):
    """256 int32 {magic, version, tokens}, then the tokens."""
    for token_name, mask_name in zip(names("tokens"), names("mask")):
        def values(name):
            path = os.path.join(folder, name)
            magic, _, count = np.fromfile(path, "<i4", 3)
            dtype = {20240520: "<u2", 20240801: "<u4"}[int(magic)]
            found = np.fromfile(path, dtype, offset=1024)
            assert len(found) == count
            return found
        yield values(token_name), values(mask_name)


def npy(folder, names):
    for token_name, mask_name in zip(names("tokens"), names("mask")):
        yield tuple(np.load(os.path.join(folder, name), mmap_mode="r") for name in (token_name, mask_name))


def labelled(ids, labels, attention):
    ids, labels = np.asarray(ids), np.asarray(labels)
    assert all(value == 1 for value in attention) and len(ids) == len(labels) == len(attention)
    mask = labels != -100
    assert (labels[mask] == ids[mask]).all()
    return ids, mask


def jsonl(folder, names):
    for name in names("rows"):
        with open(os.path.join(folder, name)) as file:
            for line in file:
                row = json.loads(line)
                assert json.dumps(row) + "\n" == line, "not as json.dumps writes it"
                yield labelled(row["input_ids"], row["labels"], row["attention_mask"])


def datasets_of(kind):
    def read(folder, names):
        import datasets
        files = [os.path.join(folder, name) for name in names("rows")]
        for row in datasets.load_dataset(kind, data_files=files, split="train"):
            yield labelled(row["input_ids"], row["labels"], row["attention_mask"])
    return read


def pandas_parquet(folder, names):
    import pandas
    for name in names("rows"):
        for row in pandas.read_parquet(os.path.join(folder, name)).itertuples():
            yield labelled(row.input_ids, row.labels, row.attention_mask)


def duckdb_parquet(folder, names):
    import duckdb
    for name in names("rows"):
        query = "select input_ids, labels, attention_mask from read_parquet(?)"
        for row in duckdb.execute(query, [os.path.join(folder, name)]).fetchall():
            yield labelled(*row)


def torch_load(**options):
    def read(folder, names):
        import torch
        for name in names("tensors"):
            found = torch.load(os.path.join(folder, name), weights_only=True, **options)
            assert list(found) == ["input_ids", "mask", "offsets"]
            assert [found[name].dtype for name in found] == [torch.int32, torch.uint8, torch.int64]
            ids, mask, offsets = (found[name].numpy() for name in found)
            for start, end in zip(offsets[:-1], offsets[1:]):
                yield ids[start:end], mask[start:end]
    return read


def megatron(folder, names):
    """_IndexReader of megatron/core/datasets/indexed_dataset.py, as it describes the file; and MMapIndexedDataset.get."""
    dtypes = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.float64, 7: np.float32, 8: np.uint16}

    def sequences(prefix):
        with open(prefix + ".idx", "rb") as stream:
            assert stream.read(9) == b"MMIDIDX\x00\x00"
            assert struct.unpack("<Q", stream.read(8)) == (1,)
            dtype = dtypes[struct.unpack("<B", stream.read(1))[0]]
            count, documents = struct.unpack("<QQ", stream.read(16))
            offset = stream.tell()
        index = np.memmap(prefix + ".idx", mode="r", order="C")
        lengths = np.frombuffer(index, np.int32, count, offset)
        pointers = np.frombuffer(index, np.int64, count, offset + lengths.nbytes)
        document_indices = np.frombuffer(index, np.int64, documents, offset + lengths.nbytes + pointers.nbytes)
        assert offset + lengths.nbytes + pointers.nbytes + document_indices.nbytes == len(index)
        assert document_indices[-1] == count
        data = np.memmap(prefix + ".bin", mode="r", order="C")
        for length, pointer in zip(lengths, pointers):
            yield np.frombuffer(data, dtype, length, pointer)

    for name in names("tokens"):
        prefix = os.path.join(folder, name)[: -len(".bin")]
        yield from zip(sequences(prefix), sequences(prefix + "_mask"), strict=True)


def mds(folder, names, split):
    from streaming import StreamingDataset
    dataset = StreamingDataset(local=folder, split=split, shuffle=False, batch_size=1)
    for i in range(len(dataset)):
        sample = dataset[i]
        yield sample["input_ids"], sample["mask"]


def packed(folder, names):
    for files in zip(names("tokens"), names("mask"), names("positions"), names("segments")):
        arrays = [np.load(os.path.join(folder, name), mmap_mode="r") for name in files]
        for ids, mask, positions, segments in zip(*arrays):
            for segment in range(1, segments.max() + 1):
                own = segments == segment
                assert (positions[own] == np.arange(own.sum())).all()
                yield ids[own], mask[own]
            assert not mask[segments == 0].any() and not positions[segments == 0].any()


readers = {
    "llmc-bin": {"llm.c": llmc},
    "npy": {"numpy": npy},
    "jsonl": {"json": jsonl, "datasets": datasets_of("json")},
    "parquet": {"datasets": datasets_of("parquet"), "pandas": pandas_parquet, "duckdb": duckdb_parquet},
    "pt": {"torch.load": torch_load(), "torch.load mmap": torch_load(mmap=True)},
    "megatron": {"MMapIndexedDataset": megatron},
    "mds": {"StreamingDataset": mds},
    "packed": {"numpy": packed},
}


def digest(pairs, stream, ordered):
    pairs = [(np.asarray(ids).astype("<u4"), np.asarray(mask).astype("<u4")) for ids, mask in pairs]
    if stream:
        pairs = [tuple(np.concatenate([pair[i] for pair in pairs]) for i in range(2))]
    if not ordered:
        pairs.sort(key=lambda pair: (pair[0].tobytes(), pair[1].tobytes()))
    sha = hashlib.sha256()
    for ids, mask in pairs:
        assert len(ids) == len(mask)
        sha.update(struct.pack("<I", len(ids)) + ids.tobytes() + mask.tobytes())
    tokens, trained = (sum(int(of(pair)) for pair in pairs) for of in (lambda p: len(p[0]), lambda p: p[1].sum()))
    return {"conversations": len(pairs), "tokens": tokens, "trained": trained, "sha256": sha.hexdigest()}


def main(folders):
    for folder in folders:
        with open(os.path.join(folder, "manifest.json")) as file:
            manifest = json.load(file)
        name = manifest["lock"].get("output", {"format": "llmc-bin"})["format"]
        files = {}
        for path in sorted(f["path"] for f in manifest["files"] if f["role"] != "config"):
            with open(os.path.join(folder, path), "rb") as file:
                files[path] = hashlib.sha256(file.read()).hexdigest()
        print(json.dumps({"format": name, "files": files}))
        for split in manifest["splits"]:
            def names(role):
                return [f["path"] for f in manifest["files"] if f.get("split") == split and f["role"] == role]
            for reader, read in readers[name].items():
                pairs = read(folder, names, split) if read is mds else read(folder, names)
                found = digest(pairs, name in ("llmc-bin", "npy"), name != "packed")
                print(json.dumps({"format": name, "reader": reader, "split": split, **found}), flush=True)


main(sys.argv[1:])
