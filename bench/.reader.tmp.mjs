import { closeSync, existsSync, fstatSync, openSync, readSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { parquetWriteBuffer } from "hyparquet-writer";
import { snappyCompressor } from "hysnappy";
import { isUtf8 } from "node:buffer";
import { brotliDecompressSync, crc32, unzipSync } from "node:zlib";
// errors/index.ts
var ShardmillError = class ShardmillError extends Error {
	name = "ShardmillError";
	code;
	hint;
	at;
	retryable;
	details;
	/** The sentence without the place in front. */
	why;
	constructor(code, why, options = {}) {
		super(place(options.at) + why, options.cause === void 0 ? void 0 : { cause: options.cause });
		this.code = code;
		this.why = why;
		this.hint = options.hint;
		this.at = options.at;
		this.retryable = options.retryable ?? false;
		this.details = options.details;
	}
	toFacts() {
		return {
			code: this.code,
			message: this.why,
			retryable: this.retryable,
			...this.hint === void 0 ? {} : { hint: this.hint },
			...this.at === void 0 ? {} : { at: this.at },
			...this.details === void 0 ? {} : { details: this.details }
		};
	}
	static fromFacts(facts) {
		return new ShardmillError(facts.code, facts.message, facts);
	}
};
function place(at) {
	if (at === void 0) return "";
	const parts = [];
	if (at.file !== void 0) parts.push(at.file);
	if (at.line !== void 0) parts.push(`line ${at.line}`);
	if (at.row !== void 0) parts.push(`row ${at.row}`);
	return parts.length === 0 ? "" : `${parts.join(", ")}: `;
}
// parquet/damage.ts
/**
* Bytes that cannot be what the format says. Thrown deep in the decoders, where neither the file's name nor the
* column is known; `asBadFile` gives it both on its way out.
*/
var Damage = class extends Error {
	name = "Damage";
};
/** The bytes at hand ended within a structure; more of them may help. */
var EndOfBytes = class extends Damage {
	name = "EndOfBytes";
};
/**
* Turns what a decoder threw into a BAD_FILE error that names the file, the row group and the column.
* A `RangeError` counts as damage too (a size that no buffer can have); anything else is passed on as it is.
*/
function asBadFile(error, where) {
	if (!(error instanceof Damage || error instanceof RangeError)) return error;
	const parts = [];
	if (where.rowGroup !== void 0) parts.push(`row group ${where.rowGroup}`);
	if (where.column !== void 0) parts.push(`column "${where.column}"`);
	return new ShardmillError("BAD_FILE", `${parts.length === 0 ? "" : `${parts.join(", ")}: `}${error.message}`, {
		at: { file: where.file },
		hint: "The parquet file is damaged or incomplete. Download it again, and compare its size and sha256 with the hub’s.",
		retryable: false,
		cause: error
	});
}
// parquet/schema.ts
/** Physical types by parquet's numbers. */
const physicalTypes = [
	"bool",
	"int32",
	"int64",
	"int96",
	"float",
	"double",
	"binary",
	"fixed_size_binary"
];
const OPTIONAL = 1;
const REPEATED = 2;
const maxDepth$1 = 64;
/** Builds the tree from the footer's flat list of schema elements. */
function readSchema(elements) {
	let next = 0;
	function take(depth) {
		const element = elements[next++];
		if (element === void 0) throw new Damage("its schema is cut off");
		if (depth > maxDepth$1) throw new Damage("its schema is nested too deeply");
		const physical = element.number(1);
		const count = element.number(5) ?? 0;
		if (count < 0 || count > elements.length) throw new Damage("its schema is cut off");
		const children = [];
		for (let i = 0; i < count; i++) children.push(take(depth + 1));
		const logical = element.struct(10);
		const converted = element.number(6);
		return {
			name: element.text(4) ?? "",
			repetition: depth === 0 ? 0 : element.number(3) ?? 0,
			physical: children.length === 0 && element.fields[1] !== void 0 ? physical : void 0,
			converted,
			logical: logical?.fields.findIndex((value) => value !== void 0),
			unsigned: logical?.struct(10)?.flag(2) === false || converted !== void 0 && converted >= 11 && converted <= 14,
			children
		};
	}
	const tree = take(0);
	if (next !== elements.length) throw new Damage("its schema has elements outside the tree");
	const leaves = [];
	return {
		root: group(tree, {
			slot: 0,
			present: 0,
			depth: 0
		}, [], leaves),
		leaves
	};
}
/** A node with its own repetition: a repeated one outside a list annotation is a list of its own. */
function shape(node, around, path, leaves) {
	path = [...path, node.name];
	if (node.repetition === REPEATED) {
		const itemLevel = around.present + 1;
		const item = once(node, {
			slot: itemLevel,
			present: itemLevel,
			depth: around.depth + 1
		}, path, leaves);
		return {
			kind: "list",
			slot: around.slot,
			present: around.present,
			depth: around.depth,
			itemLevel,
			item
		};
	}
	const present = around.present + (node.repetition === OPTIONAL ? 1 : 0);
	return once(node, {
		slot: around.slot,
		present,
		depth: around.depth
	}, path, leaves);
}
/** A node whose own repetition is already in `place`. */
function once(node, place, path, leaves) {
	if (node.physical !== void 0) {
		const leaf = leafShape(node, place, path, leaves.length);
		leaves.push(leaf);
		return leaf;
	}
	const isList = node.converted === 3 || node.logical === 3;
	const repeated = node.children[0];
	if (isList && node.children.length === 1 && repeated?.repetition === REPEATED) return list(node, repeated, place, path, leaves);
	return group(node, place, path, leaves);
}
/**
* The list dialects, as parquet's LogicalTypes.md resolves them (and Arrow with it): a repeated leaf, or a repeated
* group of several fields, or one named `array` or `<list>_tuple`, is the item; any other repeated group only
* wraps it, whatever its name and the item's.
*/
function list(node, repeated, place, path, leaves) {
	const itemLevel = place.present + 1;
	const inside = {
		slot: itemLevel,
		present: itemLevel,
		depth: place.depth + 1
	};
	const innerPath = [...path, repeated.name];
	const item = repeated.physical === void 0 && repeated.children.length === 1 && repeated.name !== "array" && repeated.name !== `${node.name}_tuple` ? shape(repeated.children[0], inside, innerPath, leaves) : once(repeated, inside, innerPath, leaves);
	return {
		kind: "list",
		...place,
		itemLevel,
		item
	};
}
function group(node, place, path, leaves) {
	const fields = /* @__PURE__ */ new Map();
	for (const child of node.children) {
		const field = shape(child, place, path, leaves);
		if (!fields.has(child.name)) fields.set(child.name, field);
	}
	return {
		kind: "struct",
		...place,
		map: node.converted === 1 || node.logical === 2,
		fields
	};
}
const isIntConverted = (converted) => converted >= 11 && converted <= 18;
function leafShape(node, place, path, index) {
	const physical = node.physical;
	const { logical, converted } = node;
	let type = "other";
	let label = physicalTypes[physical] ?? `physical type ${physical}`;
	const plain = logical === void 0 && converted === void 0;
	if (logical === 11) {
		type = "null";
		label = "null";
	} else if (physical === 6) {
		if (logical === 1 || logical === 4 || logical === 12 || converted === 0 || converted === 4 || converted === 19) {
			type = "string";
			label = "string";
		}
	} else if (physical === 1 || physical === 2) {
		if (plain || logical === 10 || logical === void 0 && isIntConverted(converted)) {
			type = "int";
			label = `${node.unsigned ? "u" : ""}int${physical === 1 ? 32 : 64}`;
		}
	}
	if (type === "other") label = logicalLabels.get(logical ?? -1) ?? convertedLabels.get(converted ?? -1) ?? label;
	return {
		kind: "leaf",
		...place,
		type,
		label,
		index,
		path: path.join("."),
		physical,
		unsigned: node.unsigned
	};
}
const logicalLabels = /* @__PURE__ */ new Map([
	[5, "decimal"],
	[6, "date"],
	[7, "time"],
	[8, "timestamp"],
	[13, "bson"],
	[14, "uuid"],
	[15, "float16"]
]);
const convertedLabels = /* @__PURE__ */ new Map([
	[5, "decimal"],
	[6, "date"],
	[7, "time"],
	[8, "time"],
	[9, "timestamp"],
	[10, "timestamp"],
	[20, "bson"],
	[21, "interval"]
]);
/** As people write types: `list<struct<role: string, content: string>>`. */
function describeShape(shape) {
	if (shape.kind === "leaf") return shape.label;
	if (shape.kind === "list") return `list<${describeShape(shape.item)}>`;
	if (shape.map) return "map";
	return `struct<${[...shape.fields].map(([name, field]) => `${name}: ${describeShape(field)}`).join(", ")}>`;
}
// parquet/plan.ts
/**
* Finds the asked columns in the file's schema; fields that nobody asked for are left out. Errors name the file,
* the column, what was expected, what was found and what there is: NOT_FOUND for a missing column, BAD_FILE for
* one of another type.
*/
function planColumns(file, root, columns) {
	const plans = /* @__PURE__ */ new Map();
	for (const [name, type] of Object.entries(columns)) {
		const shape = root.fields.get(name);
		if (shape === void 0) throw missing(file, "column", name, type, root);
		plans.set(name, match(file, name, type, shape));
	}
	return plans;
}
function match(file, label, type, shape) {
	if (type.kind === "list" && shape.kind === "list") return {
		kind: "list",
		shape,
		item: match(file, label, type.item, shape.item)
	};
	if (type.kind === "struct" && shape.kind === "struct" && !shape.map) {
		const fields = Object.entries(type.fields).map(([name, field]) => {
			const found = shape.fields.get(name);
			if (found === void 0) throw missing(file, `column "${label}" has no field`, name, field, shape);
			return [name, match(file, `${label}.${name}`, field, found)];
		});
		if (fields.length === 0) throw new TypeError(`a struct without fields was asked for (${label})`);
		return {
			kind: "struct",
			shape,
			fields
		};
	}
	if ((type.kind === "string" || type.kind === "int") && shape.kind === "leaf") {
		if (shape.type === type.kind || shape.type === "null") return {
			kind: type.kind,
			shape,
			label
		};
	}
	throw new ShardmillError("BAD_FILE", `column "${label}" is ${describeShape(shape)}, but ${describeType(type)} was expected.`, {
		at: { file },
		hint: "Map another column in the recipe, or choose another data set, subset or file."
	});
}
function missing(file, what, name, type, around) {
	const names = [...around.fields.keys()];
	const exist = names.length === 0 ? "There are none." : `There are: ${names.slice(0, 50).join(", ")}.`;
	return new ShardmillError("NOT_FOUND", what === "column" ? `column "${name}" (${describeType(type)}) is missing. ${exist}` : `${what} "${name}" (${describeType(type)}). ${exist}`, {
		at: { file },
		hint: "Name the right column in the recipe, or choose another data set, subset or file.",
		details: {
			column: name,
			columns: names.slice(0, 1e3)
		}
	});
}
/** As people write types: `list<struct<role: string, content: string>>`. */
function describeType(type) {
	if (type.kind === "list") return `list<${describeType(type.item)}>`;
	if (type.kind !== "struct") return type.kind;
	return `struct<${Object.entries(type.fields).map(([name, field]) => `${name}: ${describeType(field)}`).join(", ")}>`;
}
/** The physical columns that a plan needs. */
function leavesOf(plan, found = []) {
	if (plan.kind === "list") leavesOf(plan.item, found);
	else if (plan.kind === "struct") for (const [, field] of plan.fields) leavesOf(field, found);
	else found.push(plan.shape);
	return found;
}
// parquet/assemble.ts
/**
* From levels to structure (the Dremel encoding read backwards): each list's offsets and each value's presence
* are in the levels of any physical column below it, and must be the same in all of them.
*/
function assemble(plan, rows, leaves, badRows) {
	const column = build(plan, leaves, badRows);
	if (column.length !== rows) throw new Damage(`${column.length} rows, where there must be ${rows}`);
	return column;
}
function build(plan, leaves, badRows) {
	switch (plan.kind) {
		case "string": {
			const leaf = leaves.get(plan.shape.index);
			const { slots: length, offsets, bytes, valid } = leaf;
			checkUtf8(leaf, plan.shape, plan.label, badRows);
			return {
				kind: "string",
				length,
				offsets,
				bytes,
				...valid && { valid }
			};
		}
		case "int": {
			const { slots, values, valid } = leaves.get(plan.shape.index);
			return {
				kind: "int",
				length: slots,
				values: values.length === slots ? values : new Float64Array(slots),
				...valid && { valid }
			};
		}
		case "list": {
			const item = build(plan.item, leaves, badRows);
			const witnesses = leavesOf(plan.item).map((shape) => leaves.get(shape.index));
			const list = listOf(witnesses[0], plan.shape);
			for (let i = 1; i < witnesses.length; i++) requireEqual(list, listOf(witnesses[i], plan.shape));
			const length = list.offsets.length - 1;
			if (item.length !== list.offsets[length]) throw disagreement();
			return {
				kind: "list",
				length,
				offsets: list.offsets,
				item,
				...list.valid && { valid: list.valid }
			};
		}
		case "struct": {
			const fields = {};
			for (const [name, field] of plan.fields) Object.defineProperty(fields, name, {
				value: build(field, leaves, badRows),
				enumerable: true,
				configurable: true,
				writable: true
			});
			const { length, valid } = presence(leavesOf(plan).map((shape) => leaves.get(shape.index))[0], plan.shape);
			for (const field of Object.values(fields)) if (field.length !== length) throw disagreement();
			return {
				kind: "struct",
				length,
				fields,
				...valid && { valid }
			};
		}
	}
}
function listOf(leaf, shape) {
	const { slot, present, depth, itemLevel } = shape;
	const { entries } = leaf;
	const repetition = leaf.repetition;
	const definition = leaf.definition;
	const offsets = new Int32Array(entries + 1);
	let valid;
	let lists = 0;
	let items = 0;
	for (let i = 0; i < entries; i++) {
		const repeat = repetition[i];
		if (repeat > depth + 1) continue;
		const level = definition[i];
		if (repeat <= depth) {
			if (level < slot) continue;
			if (level < present) {
				valid ??= new Uint8Array(entries).fill(1);
				valid[lists] = 0;
			}
			offsets[lists++] = items;
			if (level >= itemLevel) items++;
		} else {
			if (level < itemLevel || lists === 0) throw new Damage("its levels contradict each other");
			items++;
		}
	}
	offsets[lists] = items;
	return {
		offsets: offsets.subarray(0, lists + 1),
		valid: valid?.subarray(0, lists)
	};
}
function presence(leaf, shape) {
	const { slot, present, depth } = shape;
	const { entries, repetition, definition } = leaf;
	if (definition === void 0) return {
		length: entries,
		valid: void 0
	};
	let valid;
	let length = 0;
	for (let i = 0; i < entries; i++) {
		if (repetition !== void 0 && repetition[i] > depth) continue;
		const level = definition[i];
		if (level < slot) continue;
		if (level < present) {
			valid ??= new Uint8Array(entries).fill(1);
			valid[length] = 0;
		}
		length++;
	}
	return {
		length,
		valid: valid?.subarray(0, length)
	};
}
function requireEqual(one, other) {
	if (one.offsets.length !== other.offsets.length) throw disagreement();
	for (let i = 0; i < one.offsets.length; i++) if (one.offsets[i] !== other.offsets[i]) throw disagreement();
	if (one.valid === void 0 !== (other.valid === void 0)) throw disagreement();
	if (one.valid === void 0) return;
	for (let i = 0; i < one.valid.length; i++) if (one.valid[i] !== other.valid[i]) throw disagreement();
}
function disagreement() {
	return new Damage("the physical columns of one list or struct disagree on its structure");
}
/** Every value must be UTF-8 by itself: all bytes together are, and none begins within a character. */
function checkUtf8(leaf, shape, label, badRows) {
	const { slots, offsets, bytes } = leaf;
	let sound = isUtf8(bytes);
	for (let i = 0; i < slots && sound; i++) sound = (bytes[offsets[i]] & 192) !== 128;
	if (sound) return;
	let entry = -1;
	let row = -1;
	for (let i = 0; i < slots; i++) {
		do {
			entry++;
			if (leaf.repetition === void 0 || leaf.repetition[entry] === 0) row++;
		} while (leaf.definition !== void 0 && leaf.definition[entry] < shape.slot);
		const value = bytes.subarray(offsets[i], offsets[i + 1]);
		if (isUtf8(value)) continue;
		value.fill(63);
		if (!badRows.has(row)) badRows.set(row, `"${label}" is not valid UTF-8.`);
	}
}
// parquet/zstd.ts
/** What is left to the pure JavaScript decompressor: WebAssembly memory never shrinks again. */
const largeFrame = 67108864;
/**
* Zstandard through WebAssembly. The module's own `decompress` takes one frame, allocates what the frame says and
* needs a guess where it says nothing; so the input is cut into frames here, and each frame's size is bounded by
* what its blocks can hold before anything is allocated (RFC 8878, section 3.1).
*/
function loadZstd() {
	loaded$1 ??= load();
	return loaded$1;
}
let loaded$1;
async function load() {
	const { init, decompress } = await import("@bokuweb/zstd-wasm");
	await init();
	const { decompressZstd } = await import("hyparquet-compressors");
	return (input, size) => {
		const frames = findFrames(input);
		if (size > frames.reduce((sum, frame) => sum + frame.capacity, 0)) throw new Damage(`${input.length} bytes of zstd cannot hold ${size}`);
		let output;
		let done = 0;
		for (const frame of frames) {
			const room = size - done;
			const expected = frame.contentSize ?? Math.min(room, frame.capacity);
			if (expected > room || expected > frame.capacity) throw new Damage(`a zstd page holds more than the ${size} bytes of its header`);
			const part = run(input.subarray(frame.start, frame.end), expected);
			if (part.length > room || frame.contentSize !== void 0 && part.length !== expected) throw new Damage("a zstd frame does not hold what it says");
			if (done === 0 && part.length === size) output = part;
			else {
				output ??= new Uint8Array(size);
				output.set(part, done);
			}
			done += part.length;
		}
		if (output === void 0 || done !== size) throw new Damage(`a zstd page holds ${done} bytes, its header says ${size}`);
		return output;
	};
	function run(frame, expected) {
		try {
			if (expected > largeFrame || frame.length > largeFrame) return decompressZstd(frame);
			return decompress(frame, { defaultHeapSize: Math.max(expected, 1) });
		} catch (error) {
			throw new Damage(`its zstd data are damaged (${error instanceof Error ? error.message : String(error)})`);
		}
	}
}
const blockMaximum = 131072;
function findFrames(input) {
	const frames = [];
	for (let position = 0; position < input.length;) {
		const frame = findFrame(input, position);
		position = frame.end;
		if (frame.capacity > 0 || frame.contentSize !== 0) frames.push(frame);
	}
	return frames;
}
function findFrame(input, start) {
	const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
	const need = (end) => {
		if (end > input.length) throw new Damage("its zstd data are cut off");
	};
	need(start + 8);
	const magic = view.getUint32(start, true);
	if ((magic & 4294967280) >>> 0 === 407710288) {
		const end = start + 8 + view.getUint32(start + 4, true);
		need(end);
		return {
			start,
			end,
			contentSize: 0,
			capacity: 0
		};
	}
	if (magic !== 4247762216) throw new Damage("its data are no zstd frame");
	const descriptor = input[start + 4];
	const single = (descriptor & 32) !== 0;
	let position = start + 5 + (single ? 0 : 1) + [
		0,
		1,
		2,
		4
	][descriptor & 3];
	const sizeBytes = [
		single ? 1 : 0,
		2,
		4,
		8
	][descriptor >> 6];
	need(position + sizeBytes);
	let contentSize;
	if (sizeBytes === 1) contentSize = input[position];
	else if (sizeBytes === 2) contentSize = view.getUint16(position, true) + 256;
	else if (sizeBytes === 4) contentSize = view.getUint32(position, true);
	else if (sizeBytes === 8) contentSize = Number(view.getBigUint64(position, true));
	position += sizeBytes;
	let capacity = 0;
	for (let last = false; !last;) {
		need(position + 3);
		const head = input[position] | input[position + 1] << 8 | input[position + 2] << 16;
		last = (head & 1) === 1;
		const type = head >> 1 & 3;
		const size = head >> 3;
		if (type === 3 || size > blockMaximum) throw new Damage("its zstd data are damaged (bad block)");
		capacity += type === 2 ? blockMaximum : size;
		position += 3 + (type === 1 ? 1 : size);
		need(position);
	}
	if (descriptor & 4) position += 4;
	need(position);
	return {
		start,
		end: position,
		contentSize,
		capacity
	};
}
// parquet/codecs.ts
const names = [
	"uncompressed",
	"snappy",
	"gzip",
	"lzo",
	"brotli",
	"lz4",
	"zstd",
	"lz4_raw"
];
function codecName(codec) {
	return names[codec] ?? `number ${codec}`;
}
const loaded = /* @__PURE__ */ new Map();
/** The decompressor of a parquet codec number; loaded when first asked for. Undefined for LZO and unknown ones. */
function loadCodec(codec) {
	const load = loaders[codec];
	if (load === void 0) return void 0;
	let promise = loaded.get(codec);
	if (promise === void 0) {
		promise = load();
		loaded.set(codec, promise);
	}
	return promise;
}
const loaders = {
	0: async () => (input, size) => exactly(input, size),
	1: loadSnappy,
	2: async () => zlibCodec("gzip", unzipSync),
	4: async () => zlibCodec("brotli", brotliDecompressSync),
	5: async () => {
		const { decompressLz4 } = await import("hyparquet-compressors");
		return guarded("lz4", 256, decompressLz4);
	},
	6: loadZstd,
	7: async () => {
		const { decompressLz4Raw } = await import("hyparquet-compressors");
		return guarded("lz4", 256, decompressLz4Raw);
	}
};
/** Past this many bytes a decompressor in WebAssembly is thrown away after use: its memory never shrinks. */
const largePage = 33554432;
async function loadSnappy() {
	const { snappyUncompressor } = await import("hysnappy");
	let uncompress = snappyUncompressor();
	return (input, size) => {
		const stated = snappyLength(input);
		if (stated !== size) throw new Damage(`a snappy page holds ${stated} bytes, its header says ${size}`);
		if (size > input.length * 64) throw new Damage(`${input.length} bytes of snappy cannot hold ${size}`);
		try {
			const output = uncompress(input, size);
			if (size > largePage) uncompress = snappyUncompressor();
			return exactly(output, size);
		} catch (error) {
			uncompress = snappyUncompressor();
			throw error instanceof Damage ? error : new Damage(`its snappy data are damaged (${message(error)})`);
		}
	};
}
function snappyLength(input) {
	let value = 0;
	for (let i = 0; i < 5 && i < input.length; i++) {
		value += (input[i] & 127) * 2 ** (7 * i);
		if (input[i] < 128) return value;
	}
	throw new Damage("its snappy data have no length");
}
function zlibCodec(name, run) {
	return (input, size) => {
		let output;
		try {
			output = run(input, { maxOutputLength: Math.max(size, 1) });
		} catch (error) {
			throw new Damage(`its ${name} data are damaged (${message(error)})`);
		}
		return exactly(new Uint8Array(output.buffer, output.byteOffset, output.length), size);
	};
}
/** For decompressors that allocate what they are told to: not more than `ratio` times the input could give. */
function guarded(name, ratio, run) {
	return (input, size) => {
		if (size > input.length * ratio + 64) throw new Damage(`${input.length} bytes of ${name} cannot hold ${size}`);
		let output;
		try {
			output = run(input, size);
		} catch (error) {
			throw new Damage(`its ${name} data are damaged (${message(error)})`);
		}
		return exactly(output, size);
	};
}
function exactly(output, size) {
	if (output.length !== size) throw new Damage(`a page holds ${output.length} bytes, its header says ${size}`);
	return output;
}
function message(error) {
	return error instanceof Error ? error.message : String(error);
}
// parquet/thrift.ts
/** Fields by their number; a field that is not there is undefined. */
var ThriftStruct = class ThriftStruct {
	fields = [];
	number(field) {
		const value = this.fields[field];
		if (value !== void 0 && typeof value !== "number") throw wrong(field, "a number");
		return value;
	}
	/** A count, size or offset: present, whole, not negative and below 2^53. */
	size(field) {
		const value = this.number(field);
		if (value === void 0 || value < 0 || !Number.isSafeInteger(value)) throw wrong(field, "a size");
		return value;
	}
	flag(field) {
		const value = this.fields[field];
		if (value !== void 0 && typeof value !== "boolean") throw wrong(field, "a boolean");
		return value;
	}
	text(field) {
		const value = this.fields[field];
		if (value === void 0) return void 0;
		if (!(value instanceof Uint8Array)) throw wrong(field, "a string");
		return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8");
	}
	struct(field) {
		const value = this.fields[field];
		if (value !== void 0 && !(value instanceof ThriftStruct)) throw wrong(field, "a struct");
		return value;
	}
	structs(field) {
		const value = this.fields[field];
		if (!Array.isArray(value)) throw wrong(field, "a list");
		return value.map((item) => {
			if (!(item instanceof ThriftStruct)) throw wrong(field, "a list of structs");
			return item;
		});
	}
};
function wrong(field, expected) {
	return new Damage(`field ${field} of its metadata is not ${expected}`);
}
const maxDepth = 32;
/** Reads one struct after the other; `position` is where the next one starts. */
var ThriftReader = class {
	position;
	#bytes;
	constructor(bytes, position = 0) {
		this.#bytes = bytes;
		this.position = position;
	}
	/** Throws `EndOfBytes` when the struct goes on past the bytes at hand. */
	readStruct(depth = 0) {
		if (depth > maxDepth) throw new Damage("its metadata is nested too deeply");
		const struct = new ThriftStruct();
		let field = 0;
		for (;;) {
			const head = this.#byte();
			const type = head & 15;
			if (type === 0) return struct;
			field = head >> 4 === 0 ? this.#zigzag() : field + (head >> 4);
			if (!(field >= 0 && field < 32768)) throw new Damage(`its metadata has a field number ${field}`);
			const value = this.#value(type, depth);
			if (field < 64) struct.fields[field] = value;
		}
	}
	#value(type, depth) {
		switch (type) {
			case 1: return true;
			case 2: return false;
			case 3: return this.#byte() << 24 >> 24;
			case 4:
			case 5:
			case 6: return this.#zigzag();
			case 7: return this.#take(8);
			case 8: return this.#take(this.#varint());
			case 9:
			case 10: return this.#list(depth);
			case 11: return this.#map(depth);
			case 12: return this.readStruct(depth + 1);
			case 13: return this.#take(16);
			default: throw new Damage(`its metadata has a value of unknown type ${type}`);
		}
	}
	#list(depth) {
		if (depth > maxDepth) throw new Damage("its metadata is nested too deeply");
		const head = this.#byte();
		const type = head & 15;
		const size = head >> 4 === 15 ? this.#varint() : head >> 4;
		if (size > this.#bytes.length - this.position) throw new EndOfBytes("its metadata ends within a list");
		const items = [];
		for (let i = 0; i < size; i++) items.push(type === 1 || type === 2 ? this.#byte() === 1 : this.#value(type, depth + 1));
		return items;
	}
	/** Parquet has no maps: read over. */
	#map(depth) {
		if (depth > maxDepth) throw new Damage("its metadata is nested too deeply");
		const size = this.#varint();
		if (size === 0) return [];
		if (size > this.#bytes.length - this.position) throw new EndOfBytes("its metadata ends within a map");
		const types = this.#byte();
		for (let i = 0; i < size; i++) {
			this.#value(types >> 4, depth + 1);
			this.#value(types & 15, depth + 1);
		}
		return [];
	}
	#byte() {
		if (this.position >= this.#bytes.length) throw new EndOfBytes("its metadata ends early");
		return this.#bytes[this.position++];
	}
	#take(length) {
		if (length > this.#bytes.length - this.position) throw new EndOfBytes("its metadata ends within a value");
		const value = this.#bytes.subarray(this.position, this.position + length);
		this.position += length;
		return value;
	}
	/** As a double: exact up to 2^53, which is checked where it matters (`ThriftStruct.size`). */
	#varint() {
		let value = 0;
		let scale = 1;
		for (let i = 0; i < 10; i++) {
			const byte = this.#byte();
			value += (byte & 127) * scale;
			if (byte < 128) return value;
			scale *= 128;
		}
		throw new Damage("its metadata has a number of more than 64 bits");
	}
	#zigzag() {
		const value = this.#varint();
		return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
	}
};
// parquet/footer.ts
const tailBytes = 65536;
/** Reads and checks the footer. Every way in which the file is not a readable parquet file is a BAD_FILE error. */
function readFooter(source) {
	try {
		return parse(source);
	} catch (error) {
		throw asBadFile(error, { file: source.name });
	}
}
function parse(source) {
	const { size } = source;
	if (size === 0) throw refusal(source, "the file is empty (0 bytes).");
	if (size < 12) throw refusal(source, `the file is no parquet file: it has only ${size} bytes.`);
	const head = magic(source.read(0, 4));
	let tail = source.read(size - Math.min(size, tailBytes), Math.min(size, tailBytes));
	const end = magic(tail.subarray(tail.length - 4));
	if (end === "PARE" || head === "PARE") throw refusal(source, "the parquet file is encrypted, which is not supported.", "Use a decrypted copy.");
	if (end !== "PAR1") throw head === "PAR1" ? refusal(source, "the parquet file is cut off: it does not end with \"PAR1\".") : refusal(source, "the file is no parquet file: it does not end with \"PAR1\".", "Check the file’s format.");
	if (head !== "PAR1") throw refusal(source, "the file is no parquet file: it does not begin with \"PAR1\".");
	const length = new DataView(tail.buffer, tail.byteOffset + tail.length - 8, 4).getUint32(0, true);
	if (length > size - 12) throw new Damage(`the footer says it is ${length} bytes long, but the file has ${size}`);
	if (length + 8 > tail.length) tail = source.read(size - 8 - length, length + 8);
	return fromThrift(new ThriftReader(tail.subarray(tail.length - 8 - length, tail.length - 8)).readStruct(), size - 8 - length);
}
function fromThrift(metadata, dataEnd) {
	const { root, leaves } = readSchema(metadata.structs(2));
	let firstRow = 0;
	const rowGroups = metadata.structs(4).map((group, index) => {
		try {
			const rows = group.size(3);
			const columns = group.structs(1);
			if (columns.length !== leaves.length) throw new Damage(`it has ${columns.length} columns, the schema ${leaves.length}`);
			const chunks = columns.map((column, leaf) => readChunk(column, leaves[leaf], dataEnd));
			const bytes = chunks.reduce((sum, chunk) => sum + chunk.uncompressed, 0);
			const read = {
				firstRow,
				rows,
				bytes,
				chunks
			};
			firstRow += rows;
			if (!Number.isSafeInteger(firstRow)) throw new Damage("its row counts are beyond 2^53");
			return read;
		} catch (error) {
			if (error instanceof Damage) throw new Damage(`row group ${index}: ${error.message}`);
			throw error;
		}
	});
	const rows = metadata.size(3) || firstRow;
	if (rows !== firstRow) throw new Damage(`the footer counts ${rows} rows, its row groups ${firstRow}`);
	return {
		rows,
		root,
		leaves,
		rowGroups
	};
}
function readChunk(column, leaf, dataEnd) {
	const meta = column.struct(3);
	if (column.fields[8] !== void 0 || meta === void 0) return {
		codec: -1,
		values: 0,
		start: 0,
		end: 0,
		uncompressed: 0
	};
	if (column.fields[1] !== void 0 && (column.text(1) ?? "") !== "") return {
		codec: -2,
		values: 0,
		start: 0,
		end: 0,
		uncompressed: 0
	};
	if (meta.number(1) !== leaf.physical) throw new Damage(`column "${leaf.path}" has two physical types`);
	const dataStart = meta.size(9);
	const dictionaryStart = meta.number(11) ?? 0;
	const start = dictionaryStart > 0 && dictionaryStart < dataStart ? dictionaryStart : dataStart;
	const size = meta.size(7);
	const values = meta.size(5);
	if (values > 0 && (start < 4 || start + size > dataEnd)) throw new Damage(`column "${leaf.path}" lies at bytes ${start} to ${start + size}, outside the file’s data (4 to ${dataEnd})`);
	return {
		codec: meta.size(4),
		values,
		start,
		end: Math.min(start + size + 100, dataEnd),
		uncompressed: meta.size(6)
	};
}
function magic(bytes) {
	return String.fromCharCode(...bytes);
}
function refusal(source, why, hint = "Download the file again.") {
	return new ShardmillError("BAD_FILE", why, {
		at: { file: source.name },
		hint
	});
}
// parquet/rle.ts
/**
* Parquet's hybrid of run-length and bit-packed runs, values of `width` bits (0 to 32), in `bytes[start .. end)`.
* Reads on demand: a run of a billion values costs nothing until it is asked for.
*/
var RleStream = class {
	#bytes;
	#end;
	#width;
	#position;
	#left = 0;
	#packed = false;
	#value = 0;
	#bit = 0;
	constructor(bytes, start, end, width) {
		if (width > 32) throw new Damage(`a bit width of ${width}`);
		this.#bytes = bytes;
		this.#position = start;
		this.#end = end;
		this.#width = width;
	}
	read(out, count) {
		if (this.#width === 0) {
			out.fill(0, 0, count);
			return count;
		}
		let done = 0;
		while (done < count) {
			if (this.#left === 0 && !this.#nextRun()) break;
			const take = Math.min(this.#left, count - done);
			if (this.#packed) this.#unpack(out, done, take);
			else out.fill(this.#value, done, done + take);
			done += take;
			this.#left -= take;
		}
		return done;
	}
	/** False at the end, be it a clean one or not: who needs more values than there are will say so. */
	#nextRun() {
		const bytes = this.#bytes;
		const width = this.#width;
		for (;;) {
			if (this.#bit > 0) {
				this.#position++;
				this.#bit = 0;
			}
			if (this.#position >= this.#end) return false;
			let head = 0;
			for (let shift = 0;; shift += 7) {
				if (this.#position >= this.#end || shift > 28) return false;
				const byte = bytes[this.#position++];
				head = (head | (byte & 127) << shift) >>> 0;
				if (byte < 128) break;
			}
			if (head & 1) {
				this.#packed = true;
				this.#left = Math.min((head >>> 1) * 8, Math.floor((this.#end - this.#position) * 8 / width));
			} else {
				const size = width + 7 >> 3;
				if (this.#position + size > this.#end) return false;
				this.#packed = false;
				this.#left = head >>> 1;
				this.#value = 0;
				for (let i = 0; i < size; i++) this.#value |= bytes[this.#position++] << 8 * i;
			}
			if (this.#left > 0) return true;
		}
	}
	#unpack(out, from, count) {
		const bytes = this.#bytes;
		const width = this.#width;
		let position = this.#position;
		let bit = this.#bit;
		const to = from + count;
		if (width === 1) for (let i = from; i < to; i++) {
			out[i] = bytes[position] >> bit & 1;
			if (++bit === 8) {
				bit = 0;
				position++;
			}
		}
		else if (width <= 8) {
			const mask = (1 << width) - 1;
			for (let i = from; i < to; i++) {
				out[i] = (bytes[position] | bytes[position + 1] << 8) >> bit & mask;
				bit += width;
				position += bit >> 3;
				bit &= 7;
			}
		} else {
			const mask = width === 32 ? -1 : (1 << width) - 1;
			for (let i = from; i < to; i++) {
				const low = bytes[position] | bytes[position + 1] << 8 | bytes[position + 2] << 16 | bytes[position + 3] << 24;
				const high = bit === 0 ? 0 : bytes[position + 4] << 32 - bit;
				out[i] = (low >>> bit | high) & mask;
				bit += width;
				position += bit >> 3;
				bit &= 7;
			}
		}
		this.#position = position;
		this.#bit = bit;
	}
};
/** The long deprecated BIT_PACKED level encoding: no runs, most significant bit first. */
var BitPackedStream = class {
	#bytes;
	#width;
	#bit;
	#endBit;
	constructor(bytes, start, end, width) {
		this.#bytes = bytes;
		this.#width = width;
		this.#bit = start * 8;
		this.#endBit = end * 8;
	}
	read(out, count) {
		const possible = Math.min(count, Math.floor((this.#endBit - this.#bit) / this.#width));
		for (let i = 0; i < possible; i++) {
			let value = 0;
			for (let k = 0; k < this.#width; k++) {
				const byte = this.#bytes[Math.floor(this.#bit / 8)];
				value = value << 1 | byte >> 7 - this.#bit % 8 & 1;
				this.#bit++;
			}
			out[i] = value;
		}
		return possible;
	}
};
// parquet/pages.ts
const readAhead = 1048576;
const maxHeader = 67108864;
/** The pages of one column chunk, one at a time: holds a read-ahead window and hands out one page's bytes. */
var PageStream = class {
	#source;
	#chunk;
	#leaf;
	#decompress;
	#window = /* @__PURE__ */ new Uint8Array(0);
	#windowStart = 0;
	#position;
	constructor(source, chunk, leaf, decompress) {
		this.#source = source;
		this.#chunk = chunk;
		this.#leaf = leaf;
		this.#decompress = decompress;
		this.#position = chunk.start;
	}
	/** The next dictionary or data page; the caller knows how many entries there must be. */
	next() {
		for (;;) {
			const header = this.#header();
			const type = header.number(1);
			const size = header.size(2);
			const stored = header.size(3);
			const at = this.#position;
			if (stored > this.#chunk.end - at) throw new Damage(`the page at byte ${at} is said to be ${stored} bytes long, past the end of the column`);
			const bytes = this.#bytes(at, stored);
			this.#position += stored;
			const crc = header.number(4);
			if (crc !== void 0 && crc32(bytes) !== crc >>> 0) throw new Damage(`the page at byte ${at} does not match its checksum`);
			if (type === 0) return this.#dataPage(required(header, 5), bytes, size);
			if (type === 2) return this.#dictionaryPage(required(header, 7), bytes, size);
			if (type === 3) return this.#dataPageV2(required(header, 8), bytes, size);
		}
	}
	#dictionaryPage(header, bytes, size) {
		return {
			kind: "dictionary",
			values: header.size(1),
			encoding: header.size(2),
			data: this.#inflate(bytes, size)
		};
	}
	/** Version 1: levels and values compressed together; each run of levels after its length. */
	#dataPage(header, bytes, size) {
		const entries = header.size(1);
		const data = this.#inflate(bytes, size);
		let position = 0;
		const levels = (encoding, width) => {
			if (width === 0) return void 0;
			if (encoding === bitPacked) {
				const end = position + Math.ceil(entries * width / 8);
				if (end > data.length) throw new Damage("its levels are cut off");
				const stream = new BitPackedStream(data, position, end, width);
				position = end;
				return stream;
			}
			if (encoding !== rle) throw new Damage(`its levels have encoding ${encoding}`);
			if (position + 4 > data.length) throw new Damage("its levels are cut off");
			const length = data[position] | data[position + 1] << 8 | data[position + 2] << 16 | data[position + 3] << 24;
			const start = position + 4;
			if (length < 0 || start + length > data.length) throw new Damage("its levels are cut off");
			position = start + length;
			return new RleStream(data, start, position, width);
		};
		const repetition = levels(header.size(4), levelWidth(this.#maxRepetition()));
		const definition = levels(header.size(3), levelWidth(this.#leaf.present));
		return {
			kind: "data",
			entries,
			encoding: header.size(2),
			repetition,
			definition,
			data: data.subarray(position)
		};
	}
	/** Version 2: levels uncompressed in front, their lengths in the header. */
	#dataPageV2(header, bytes, size) {
		const definitionBytes = header.size(5);
		const repetitionBytes = header.size(6);
		const levelBytes = definitionBytes + repetitionBytes;
		if (levelBytes > bytes.length || levelBytes > size) throw new Damage("its levels are cut off");
		const body = bytes.subarray(levelBytes);
		const width = levelWidth(this.#maxRepetition());
		const definitionWidth = levelWidth(this.#leaf.present);
		return {
			kind: "data",
			entries: header.size(1),
			encoding: header.size(4),
			repetition: width === 0 ? void 0 : new RleStream(bytes, 0, repetitionBytes, width),
			definition: definitionWidth === 0 ? void 0 : new RleStream(bytes, repetitionBytes, levelBytes, definitionWidth),
			data: header.flag(7) === false ? body : this.#inflate(body, size - levelBytes)
		};
	}
	#maxRepetition() {
		return this.#leaf.depth;
	}
	#inflate(bytes, size) {
		if (size === 0) return bytes.subarray(0, 0);
		return this.#decompress(bytes, size);
	}
	/** A header does not say how long it is: parse what is at hand, and fetch more while it does not suffice. */
	#header() {
		const rest = this.#chunk.end - this.#position;
		if (rest <= 0) throw new Damage("the column has fewer values than it says");
		for (let length = Math.min(rest, 512);; length = Math.min(rest, length * 8)) {
			const reader = new ThriftReader(this.#bytes(this.#position, length));
			try {
				const header = reader.readStruct();
				this.#position += reader.position;
				return header;
			} catch (error) {
				if (!(error instanceof EndOfBytes) || length === rest || length > maxHeader) throw error;
			}
		}
	}
	#bytes(start, length) {
		let offset = start - this.#windowStart;
		if (offset < 0 || offset + length > this.#window.length) {
			const size = Math.min(Math.max(length, readAhead), this.#chunk.end - start);
			this.#window = /* @__PURE__ */ new Uint8Array(0);
			const window = this.#source.read(start, size);
			this.#window = window;
			this.#windowStart = start;
			offset = 0;
		}
		return this.#window.subarray(offset, offset + length);
	}
};
const rle = 3;
const bitPacked = 4;
function levelWidth(max) {
	return 32 - Math.clz32(max);
}
function required(header, field) {
	const struct = header.struct(field);
	if (struct === void 0) throw new Damage("a page header lacks its own kind’s part");
	return struct;
}
// parquet/delta.ts
const two53 = 2 ** 53;
const two52 = 2n ** 52n;
/**
* DELTA_BINARY_PACKED: integers as differences, in blocks of bit-packed miniblocks. Gives whole doubles; for a
* 64-bit column a value beyond 2^53 comes out as NaN.
*/
var DeltaStream = class {
	/** Values not handed out yet, as the header counts them. */
	left;
	#bytes;
	#end;
	#bits;
	#unsigned;
	#miniblocks;
	#perMiniblock;
	#scratch;
	#position;
	#value;
	#minDelta = 0;
	#widths;
	#miniblock = 0;
	#ready = 0;
	#next = 0;
	#first = true;
	constructor(bytes, start, end, bits, unsigned = false) {
		this.#bytes = bytes;
		this.#position = start;
		this.#end = end;
		this.#bits = bits;
		this.#unsigned = unsigned;
		const blockSize = Number(this.#varint());
		const miniblocks = Number(this.#varint());
		this.left = Number(this.#varint());
		this.#value = this.#zigzag();
		const per = blockSize / miniblocks;
		if (!(blockSize > 0 && blockSize <= 1 << 20 && miniblocks > 0 && Number.isInteger(per) && per % 8 === 0)) throw new Damage(`delta blocks of ${blockSize} values in ${miniblocks} miniblocks`);
		this.#miniblocks = miniblocks;
		this.#perMiniblock = per;
		this.#scratch = new Float64Array(per);
	}
	/** Writes up to `count` values at the start of `out`; fewer only where the stream ends. */
	read(out, count) {
		count = Math.min(count, this.left);
		let done = 0;
		if (this.#first && count > 0) {
			this.#first = false;
			this.#value = this.#wrap(this.#value);
			out[done++] = this.#asDouble(this.#value);
		}
		while (done < count) {
			if (this.#next === this.#ready) this.#nextMiniblock();
			const take = Math.min(this.#ready - this.#next, count - done);
			for (let i = 0; i < take; i++) out[done + i] = this.#scratch[this.#next + i];
			this.#next += take;
			done += take;
		}
		this.left -= done;
		return done;
	}
	/** Where the stream's bytes end, found from the block headers alone. Only before the first `read`. */
	findEnd() {
		const position = this.#position;
		let rest = this.left - 1;
		while (rest > 0) {
			this.#zigzag();
			const widths = this.#position;
			this.#position += this.#miniblocks;
			for (let i = 0; i < this.#miniblocks && rest > 0; i++) {
				if (widths + i >= this.#end) throw cutOff();
				this.#position += this.#bytes[widths + i] * this.#perMiniblock / 8;
				rest -= this.#perMiniblock;
			}
			if (this.#position > this.#end) throw cutOff();
		}
		const end = this.#position;
		this.#position = position;
		return end;
	}
	#nextMiniblock() {
		if (this.#widths === void 0 || this.#miniblock === this.#miniblocks) {
			this.#minDelta = this.#zigzag();
			if (this.#position + this.#miniblocks > this.#end) throw cutOff();
			this.#widths = this.#bytes.subarray(this.#position, this.#position + this.#miniblocks);
			this.#position += this.#miniblocks;
			this.#miniblock = 0;
		}
		const width = this.#widths[this.#miniblock++];
		if (width > 64) throw new Damage(`a bit width of ${width}`);
		const size = width * this.#perMiniblock / 8;
		if (this.#position + size > this.#end) throw cutOff();
		if (!this.#decodeNarrow(width)) this.#decodeWide(width);
		this.#position += size;
		this.#ready = this.#perMiniblock;
		this.#next = 0;
	}
	/** In doubles, where they are exact; false (and nothing changed) where they would not be. */
	#decodeNarrow(width) {
		if (width > 32 || typeof this.#value === "bigint" || typeof this.#minDelta === "bigint") return false;
		const bytes = this.#bytes;
		const out = this.#scratch;
		const minDelta = this.#minDelta;
		const narrow = this.#bits === 32;
		const unsigned = this.#unsigned;
		const mask = width === 32 ? -1 : (1 << width) - 1;
		let value = this.#value;
		let position = this.#position;
		let bit = 0;
		for (let i = 0; i < this.#perMiniblock; i++) {
			let delta = 0;
			if (width > 0) {
				const low = bytes[position] | bytes[position + 1] << 8 | bytes[position + 2] << 16 | bytes[position + 3] << 24;
				const high = bit === 0 ? 0 : bytes[position + 4] << 32 - bit;
				delta = ((low >>> bit | high) & mask) >>> 0;
				bit += width;
				position += bit >> 3;
				bit &= 7;
			}
			value += minDelta + delta;
			if (narrow) value |= 0;
			else if (!(value < two53 && value > -two53)) return false;
			out[i] = unsigned && value < 0 ? narrow ? value >>> 0 : NaN : value;
		}
		this.#value = value;
		return true;
	}
	#decodeWide(width) {
		const minDelta = BigInt(this.#minDelta);
		let value = BigInt(this.#value);
		let bit = 0;
		for (let i = 0; i < this.#perMiniblock; i++) {
			let delta = 0n;
			for (let got = 0; got < width;) {
				const byte = this.#bytes[this.#position + (bit + got >> 3)];
				const offset = bit + got & 7;
				delta |= BigInt(byte >> offset) << BigInt(got);
				got += 8 - offset;
			}
			bit += width;
			value = BigInt.asIntN(this.#bits, value + minDelta + BigInt.asUintN(width, delta));
			this.#scratch[i] = this.#asDouble(value);
		}
		this.#value = small(value);
	}
	#wrap(value) {
		return this.#bits === 32 ? Number(BigInt.asIntN(32, BigInt(value))) : value;
	}
	#asDouble(value) {
		let number = Number(value);
		if (this.#unsigned && number < 0) {
			if (this.#bits === 64) return NaN;
			number += 2 ** 32;
		}
		return Math.abs(number) > two53 ? NaN : number;
	}
	#varint() {
		let value = 0;
		let scale = 1;
		for (let i = 0; i < 7; i++) {
			if (this.#position >= this.#end) throw cutOff();
			const byte = this.#bytes[this.#position++];
			value += (byte & 127) * scale;
			if (byte < 128) return value;
			scale *= 128;
		}
		let wide = BigInt(value);
		for (let i = 7; i < 10; i++) {
			if (this.#position >= this.#end) throw cutOff();
			const byte = this.#bytes[this.#position++];
			wide |= BigInt(byte & 127) << BigInt(7 * i);
			if (byte < 128) return wide;
		}
		throw new Damage("a number of more than 64 bits");
	}
	#zigzag() {
		const value = this.#varint();
		if (typeof value === "number") return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
		return small(value & 1n ? -(value + 1n >> 1n) : value >> 1n);
	}
};
/** As a double, where it is small enough for a sum of it and a difference to be exact or seen to be too large. */
function small(value) {
	return value < two52 && value > -two52 ? Number(value) : value;
}
function cutOff() {
	return new Damage("delta-encoded values are cut off");
}
// parquet/values.ts
/** So many values are made ready at a time: small enough to stay in the processor's cache. */
const blockSize = 4096;
const PLAIN = 0;
const PLAIN_DICTIONARY = 2;
const DELTA_BINARY_PACKED = 5;
const DELTA_LENGTH_BYTE_ARRAY = 6;
const DELTA_BYTE_ARRAY = 7;
const RLE_DICTIONARY = 8;
const BYTE_STREAM_SPLIT = 9;
function stringValues(page, dictionary) {
	const { data, encoding } = page;
	switch (encoding) {
		case PLAIN: return new PlainStrings(data);
		case PLAIN_DICTIONARY:
		case RLE_DICTIONARY:
			if (dictionary === void 0) throw new Damage("a page refers to a dictionary that is not there");
			return new DictionaryStrings(indices(data), dictionary);
		case DELTA_LENGTH_BYTE_ARRAY: return new DeltaLengthStrings(data, 0);
		case DELTA_BYTE_ARRAY: return new DeltaStrings(data);
		default: throw new Damage(`a page of strings has encoding ${encoding}, which is not known for them`);
	}
}
function intValues(page, leaf, dictionary) {
	const { data, encoding } = page;
	const width = leaf.physical === 1 ? 4 : 8;
	switch (encoding) {
		case PLAIN: return new PlainInts(data, width, leaf.unsigned, 1);
		case BYTE_STREAM_SPLIT: return new PlainInts(data, width, leaf.unsigned, Math.floor(data.length / width));
		case PLAIN_DICTIONARY:
		case RLE_DICTIONARY:
			if (dictionary === void 0) throw new Damage("a page refers to a dictionary that is not there");
			return new DictionaryInts(indices(data), dictionary);
		case DELTA_BINARY_PACKED: return new DeltaInts(new DeltaStream(data, 0, data.length, width === 4 ? 32 : 64, leaf.unsigned));
		default: throw new Damage(`a page of integers has encoding ${encoding}, which is not known for them`);
	}
}
function stringDictionary(page) {
	checkDictionary(page, 4);
	const starts = new Int32Array(page.values);
	const lengths = new Int32Array(page.values);
	if (walkPlain(page.data, 0, page.values, starts, lengths) < page.values) throw new Damage("its dictionary is cut off");
	return {
		src: page.data,
		starts,
		lengths
	};
}
function intDictionary(page, leaf) {
	const width = leaf.physical === 1 ? 4 : 8;
	checkDictionary(page, width);
	const values = new Float64Array(page.values);
	new PlainInts(page.data, width, leaf.unsigned, 1).copy(values, page.values);
	return values;
}
function checkDictionary(page, leastBytes) {
	if (page.encoding !== PLAIN && page.encoding !== PLAIN_DICTIONARY) throw new Damage(`its dictionary has encoding ${page.encoding}`);
	if (page.values * leastBytes > page.data.length) throw new Damage("its dictionary is cut off");
}
function indices(data) {
	if (data.length === 0) return new RleStream(data, 0, 0, 1);
	return new RleStream(data, 1, data.length, data[0]);
}
/** Walks length-prefixed values from `position`; returns how many whole ones there were, up to `count`. */
function walkPlain(data, position, count, starts, lengths) {
	const end = data.length;
	for (let i = 0; i < count; i++) {
		if (position + 4 > end) return i;
		const length = data[position] | data[position + 1] << 8 | data[position + 2] << 16 | data[position + 3] << 24;
		position += 4;
		if (length < 0 || length > end - position) return i;
		starts[i] = position;
		lengths[i] = length;
		position += length;
	}
	return count;
}
var PlainStrings = class {
	src;
	starts = new Int32Array(blockSize);
	lengths = new Int32Array(blockSize);
	gap = 4;
	count = 0;
	#position = 0;
	constructor(src) {
		this.src = src;
	}
	refill() {
		this.count = walkPlain(this.src, this.#position, blockSize, this.starts, this.lengths);
		if (this.count > 0) this.#position = this.starts[this.count - 1] + this.lengths[this.count - 1];
	}
};
var DictionaryStrings = class {
	src;
	starts = new Int32Array(blockSize);
	lengths = new Int32Array(blockSize);
	gap = void 0;
	count = 0;
	#dictionary;
	#indices;
	constructor(indices, dictionary) {
		this.src = dictionary.src;
		this.#dictionary = dictionary;
		this.#indices = new IndexBlocks(indices, dictionary.starts.length);
	}
	refill() {
		const { starts, lengths } = this;
		const { starts: from, lengths: sizes } = this.#dictionary;
		this.count = this.#indices.refill();
		const { block } = this.#indices;
		for (let i = 0; i < this.count; i++) {
			const index = block[i];
			starts[i] = from[index];
			lengths[i] = sizes[index];
		}
	}
};
/** Dictionary indices, checked. The padding of a page's last group may hold anything: only its use is an error. */
var IndexBlocks = class {
	block = new Int32Array(blockSize);
	#indices;
	#entries;
	#bad;
	constructor(indices, entries) {
		this.#indices = indices;
		this.#entries = entries;
	}
	refill() {
		if (this.#bad !== void 0) throw new Damage(`a page refers to entry ${this.#bad >>> 0} of a dictionary of ${this.#entries}`);
		const { block } = this;
		const count = this.#indices.read(block, blockSize);
		for (let i = 0; i < count; i++) {
			const index = block[i];
			if (index < 0 || index >= this.#entries) {
				this.#bad = index;
				return i === 0 ? this.refill() : i;
			}
		}
		return count;
	}
};
/** All lengths first, as deltas, then all bytes. */
var DeltaLengthStrings = class {
	src;
	starts = new Int32Array(blockSize);
	lengths = new Int32Array(blockSize);
	gap = 0;
	count = 0;
	#stream;
	#block = new Float64Array(blockSize);
	#position;
	constructor(src, start) {
		this.src = src;
		this.#stream = new DeltaStream(src, start, src.length, 32);
		this.#position = this.#stream.findEnd();
	}
	refill() {
		this.count = this.#stream.read(this.#block, blockSize);
		for (let i = 0; i < this.count; i++) {
			const length = this.#block[i];
			if (length < 0 || length > this.src.length - this.#position) throw new Damage("its strings are cut off");
			this.starts[i] = this.#position;
			this.lengths[i] = length;
			this.#position += length;
		}
	}
};
/** Each value as a prefix of the one before and a suffix. Assembled in a buffer of its own, block by block. */
var DeltaStrings = class {
	src = /* @__PURE__ */ new Uint8Array(65536);
	starts = new Int32Array(blockSize);
	lengths = new Int32Array(blockSize);
	gap = void 0;
	count = 0;
	#prefixes;
	#suffixes;
	#prefix = /* @__PURE__ */ new Float64Array(1);
	#suffix = 0;
	constructor(data) {
		this.#prefixes = new DeltaStream(data, 0, data.length, 32);
		this.#suffixes = new DeltaLengthStrings(data, this.#prefixes.findEnd());
	}
	refill() {
		let lastStart = 0;
		let lastLength = 0;
		if (this.count > 0) {
			lastLength = this.lengths[this.count - 1];
			this.src.copyWithin(0, this.starts[this.count - 1], this.starts[this.count - 1] + lastLength);
		}
		let size = lastLength;
		this.count = 0;
		while (this.count < 4096 && (this.count === 0 || size < maxBlockBytes)) {
			if (this.#suffix === this.#suffixes.count) {
				this.#suffixes.refill();
				this.#suffix = 0;
				if (this.#suffixes.count === 0) break;
			}
			if (this.#prefixes.read(this.#prefix, 1) === 0) break;
			const prefix = this.#prefix[0];
			if (prefix < 0 || prefix > lastLength) throw new Damage("a string shares more with its neighbour than there is");
			const start = this.#suffixes.starts[this.#suffix];
			const length = this.#suffixes.lengths[this.#suffix];
			this.#suffix++;
			if (size + prefix + length > this.src.length) {
				const grown = new Uint8Array(Math.max(this.src.length * 2, size + prefix + length));
				grown.set(this.src.subarray(0, size));
				this.src = grown;
			}
			this.src.copyWithin(size, lastStart, lastStart + prefix);
			this.src.set(this.#suffixes.src.subarray(start, start + length), size + prefix);
			lastStart = size;
			lastLength = prefix + length;
			this.starts[this.count] = lastStart;
			this.lengths[this.count] = lastLength;
			this.count++;
			size += lastLength;
		}
	}
};
const maxBlockBytes = 1048576;
/** Little-endian integers, one after the other (`stride` 1) or split into one stream per byte. */
var PlainInts = class {
	values = new Float64Array(blockSize);
	count = 0;
	#index = 0;
	#data;
	#width;
	#unsigned;
	#total;
	#step;
	#split;
	constructor(data, width, unsigned, split) {
		this.#data = data;
		this.#width = width;
		this.#unsigned = unsigned;
		this.#total = Math.floor(data.length / width);
		this.#split = split;
		this.#step = split === 1 ? width : 1;
	}
	refill() {
		this.count = Math.min(blockSize, this.#total - this.#index);
		this.copy(this.values, this.count);
	}
	copy(out, count) {
		const data = this.#data;
		const unsigned = this.#unsigned;
		const by = this.#split;
		for (let i = 0; i < count; i++) {
			const at = (this.#index + i) * this.#step;
			const low = data[at] | data[at + by] << 8 | data[at + 2 * by] << 16 | data[at + 3 * by] << 24;
			if (this.#width === 4) {
				out[i] = unsigned ? low >>> 0 : low;
				continue;
			}
			const high = data[at + 4 * by] | data[at + 5 * by] << 8 | data[at + 6 * by] << 16 | data[at + 7 * by] << 24;
			const value = (unsigned ? high >>> 0 : high) * 2 ** 32 + (low >>> 0);
			out[i] = Math.abs(value) > Number.MAX_SAFE_INTEGER ? beyond(high, low, unsigned) : value;
		}
		this.#index += count;
	}
};
/** 2^53 itself is exact; anything past it is not. */
function beyond(high, low, unsigned) {
	const wide = BigInt(high) << 32n | BigInt(low >>> 0);
	const value = unsigned ? BigInt.asUintN(64, wide) : BigInt.asIntN(64, wide);
	return value === 2n ** 53n || value === -(2n ** 53n) ? Number(value) : NaN;
}
var DictionaryInts = class {
	values = new Float64Array(blockSize);
	count = 0;
	#dictionary;
	#indices;
	constructor(indices, dictionary) {
		this.#dictionary = dictionary;
		this.#indices = new IndexBlocks(indices, dictionary.length);
	}
	refill() {
		this.count = this.#indices.refill();
		const { block } = this.#indices;
		for (let i = 0; i < this.count; i++) this.values[i] = this.#dictionary[block[i]];
	}
};
var DeltaInts = class {
	values = new Float64Array(blockSize);
	count = 0;
	#stream;
	constructor(stream) {
		this.#stream = stream;
	}
	refill() {
		this.count = this.#stream.read(this.values, blockSize);
	}
};
// parquet/leaf.ts
const maxRowBytes = 2 ** 31 - 1;
/**
* Reads one physical column of one row group, row by row: `fill` decodes rows into growing arrays, `take` hands the
* first of them out. Nothing in it is as large as the row group: a page, its dictionary, and the rows at hand.
*/
var LeafReader = class {
	/** Whole rows decoded and not taken yet. */
	rows = 0;
	leaf;
	#pages;
	/** Entries of the column chunk that no page has brought yet, and those of the page that are not decoded yet. */
	#chunkLeft;
	#pageLeft = 0;
	#repetitions;
	#definitions;
	#strings;
	#ints;
	#value = 0;
	#stringDictionary;
	#intDictionary;
	#repetitionBlock = new Int32Array(blockSize);
	#definitionBlock = new Int32Array(blockSize);
	#block = 0;
	#blockEnd = 0;
	#entries = 0;
	#slots = 0;
	#size = 0;
	#repetition;
	#definition;
	#offsets = /* @__PURE__ */ new Int32Array(0);
	#bytes = /* @__PURE__ */ new Uint8Array(0);
	#values = /* @__PURE__ */ new Float64Array(0);
	#valid;
	#expectedBytes = 65536;
	constructor(source, group, leaf, decompress) {
		const chunk = group.chunks[leaf.index];
		this.leaf = leaf;
		this.#pages = new PageStream(source, chunk, leaf, decompress);
		this.#chunkLeft = chunk.values;
		if (leaf.depth > 0) this.#repetition = /* @__PURE__ */ new Uint8Array(0);
		if (leaf.present > 0) this.#definition = /* @__PURE__ */ new Uint8Array(0);
		this.#definitionBlock.fill(leaf.present);
		this.#restart();
	}
	/** Decodes until there are `limits.rows` rows, or fewer by the other limits or the end of the column. */
	fill(limits) {
		while (this.#block < this.#blockEnd || this.#nextBlock()) {
			const entries = this.#blockEnd - this.#block;
			this.#reserve(entries);
			const from = this.#block;
			const full = this.leaf.type === "int" ? this.#appendInts(limits) : this.#appendStrings(limits);
			this.#keepLevels(from, this.#block);
			if (full) return;
		}
	}
	/** True once every entry of the column has been decoded. */
	get ended() {
		return this.#chunkLeft === 0 && this.#pageLeft === 0 && this.#block === this.#blockEnd;
	}
	/** Hands out the first `rows` rows (at most `this.rows`); what is left stays for the next call. */
	take(rows) {
		const { leaf } = this;
		const entries = rows === this.rows ? this.#entries : this.#entriesOf(rows);
		const slots = rows === this.rows ? this.#slots : this.#slotsOf(entries);
		const isInt = leaf.type === "int";
		const size = isInt ? 0 : this.#offsets[slots];
		const taken = {
			entries,
			slots,
			repetition: this.#repetition?.subarray(0, entries),
			definition: this.#definition?.subarray(0, entries),
			offsets: this.#offsets.subarray(0, isInt ? 0 : slots + 1),
			bytes: this.#bytes.subarray(0, size),
			values: this.#values.subarray(0, isInt ? slots : 0),
			valid: hasNull(this.#valid, slots) ? this.#valid.subarray(0, slots) : void 0
		};
		const rest = {
			rows: this.rows - rows,
			entries: this.#entries - entries,
			slots: this.#slots - slots,
			size: this.#size - size,
			repetition: this.#repetition?.slice(entries, this.#entries),
			definition: this.#definition?.slice(entries, this.#entries),
			offsets: this.#offsets.subarray(slots),
			bytes: this.#bytes.subarray(size, this.#size),
			values: this.#values.subarray(slots, this.#slots),
			valid: this.#valid?.subarray(slots, this.#slots)
		};
		this.#expectedBytes = Math.max(1024, Math.ceil(size * 1.25));
		this.#restart();
		if (rest.entries === 0) return taken;
		this.rows = rest.rows;
		this.#entries = rest.entries;
		this.#repetition = rest.repetition;
		this.#definition = rest.definition;
		this.#reserve(0, rest.slots, rest.size);
		if (isInt) this.#values.set(rest.values);
		else {
			for (let i = 0; i <= rest.slots; i++) this.#offsets[i] = rest.offsets[i] - size;
			this.#bytes.set(rest.bytes);
		}
		if (rest.valid !== void 0 && hasNull(rest.valid, rest.slots)) this.#validity().set(rest.valid);
		this.#slots = rest.slots;
		this.#size = rest.size;
		return taken;
	}
	#restart() {
		this.rows = 0;
		this.#entries = 0;
		this.#slots = 0;
		this.#size = 0;
		this.#repetition &&= /* @__PURE__ */ new Uint8Array(0);
		this.#definition &&= /* @__PURE__ */ new Uint8Array(0);
		this.#offsets = new Int32Array(this.leaf.type === "int" ? 0 : 1);
		this.#bytes = /* @__PURE__ */ new Uint8Array(0);
		this.#values = /* @__PURE__ */ new Float64Array(0);
		this.#valid = void 0;
	}
	/** Decodes the levels of the next entries, from the next page where this one is done. False at the end. */
	#nextBlock() {
		while (this.#pageLeft === 0) {
			if (this.#chunkLeft === 0) return false;
			this.#nextPage();
		}
		const count = Math.min(this.#pageLeft, blockSize);
		const { depth, present } = this.leaf;
		if (this.#repetitions !== void 0) {
			checkLevels(this.#repetitionBlock, this.#repetitions.read(this.#repetitionBlock, count), count, depth);
			if (this.rows === 0 && this.#entries === 0 && this.#isFirst && this.#repetitionBlock[0] !== 0) throw new Damage("its first row begins in the middle");
		}
		if (this.#definitions !== void 0) checkLevels(this.#definitionBlock, this.#definitions.read(this.#definitionBlock, count), count, present);
		this.#isFirst = false;
		this.#pageLeft -= count;
		this.#block = 0;
		this.#blockEnd = count;
		return true;
	}
	#isFirst = true;
	#nextPage() {
		for (;;) {
			const page = this.#pages.next();
			if (page.kind === "data") {
				this.#openPage(page);
				return;
			}
			if (this.leaf.type === "int") this.#intDictionary = intDictionary(page, this.leaf);
			else if (this.leaf.type === "string") this.#stringDictionary = stringDictionary(page);
		}
	}
	#openPage(page) {
		if (page.entries > this.#chunkLeft) throw new Damage(`a page of ${page.entries} values, where only ${this.#chunkLeft} are left of the column`);
		this.#chunkLeft -= page.entries;
		this.#pageLeft = page.entries;
		this.#repetitions = page.repetition;
		this.#definitions = page.definition;
		this.#value = 0;
		const { type } = this.leaf;
		this.#ints = void 0;
		this.#strings = void 0;
		if (page.data.length === 0) this.#strings = noStrings;
		if (page.data.length === 0) this.#ints = noInts;
		else if (type === "int") this.#ints = intValues(page, this.leaf, this.#intDictionary);
		else if (type === "string") this.#strings = stringValues(page, this.#stringDictionary);
		this.#strings ??= noStrings;
	}
	/** Walks the levels and the values' lengths; the values themselves follow in runs (`#copyValues`). */
	#appendStrings(limits) {
		const { present, slot } = this.leaf;
		const repetitions = this.#repetitionBlock;
		const definitions = this.#definitionBlock;
		const end = this.#blockEnd;
		const strings = this.#strings;
		const { lengths } = strings;
		const offsets = this.#offsets;
		let { count } = strings;
		let value = this.#value;
		let copied = value;
		let rows = this.rows;
		let slots = this.#slots;
		let size = this.#size;
		let i = this.#block;
		let full = false;
		for (; i < end; i++) {
			if (repetitions[i] === 0) {
				if (rows >= limits.rows || rows > 0 && (size >= limits.bytes || slots >= limits.slots)) {
					full = true;
					break;
				}
				rows++;
			}
			const level = definitions[i];
			if (level === present) {
				if (value === count) {
					this.#copyValues(strings, copied, value, size);
					strings.refill();
					count = strings.count;
					if (count === 0) throw new Damage("a page has fewer values than its levels say");
					value = 0;
					copied = 0;
				}
				size += lengths[value++];
				if (size > maxRowBytes) throw tooLarge();
				offsets[++slots] = size;
			} else if (level >= slot) {
				this.#validity()[slots] = 0;
				offsets[++slots] = size;
			}
		}
		this.#copyValues(strings, copied, value, size);
		this.#value = value;
		this.rows = rows;
		this.#slots = slots;
		this.#block = i;
		return full;
	}
	/** Appends the values `from` to `to` of the strings’ block to the bytes, which then are `end` long. */
	#copyValues(strings, from, to, end) {
		if (from === to) return;
		const { src, starts, lengths, gap } = strings;
		const last = to - 1;
		let size = this.#size;
		if (gap !== void 0) {
			const region = starts[last] + lengths[last] - starts[from];
			if (size + region > this.#bytes.length) this.#growBytes(size + region);
			const bytes = this.#bytes;
			bytes.set(src.subarray(starts[from], starts[from] + region), size);
			const shift = size - starts[from];
			size += lengths[from];
			for (let i = from + 1; i < to && gap > 0; i++) {
				const start = starts[i] + shift;
				const length = lengths[i];
				if (length > 20) bytes.copyWithin(size, start, start + length);
				else for (let k = 0; k < length; k++) bytes[size + k] = bytes[start + k];
				size += length;
			}
		} else {
			if (end > this.#bytes.length) this.#growBytes(end);
			const bytes = this.#bytes;
			for (let i = from; i < to; i++) {
				const start = starts[i];
				const length = lengths[i];
				if (length > 40) bytes.set(src.subarray(start, start + length), size);
				else for (let k = 0; k < length; k++) bytes[size + k] = src[start + k];
				size += length;
			}
		}
		this.#size = end;
	}
	#appendInts(limits) {
		const { present, slot } = this.leaf;
		const repetitions = this.#repetitionBlock;
		const definitions = this.#definitionBlock;
		const end = this.#blockEnd;
		const ints = this.#ints;
		const out = this.#values;
		const most = Math.min(limits.slots, Math.ceil(limits.bytes / 8));
		let value = this.#value;
		let rows = this.rows;
		let slots = this.#slots;
		let i = this.#block;
		let full = false;
		for (; i < end; i++) {
			if (repetitions[i] === 0) {
				if (rows >= limits.rows || rows > 0 && slots >= most) {
					full = true;
					break;
				}
				rows++;
			}
			const level = definitions[i];
			if (level === present) {
				if (value === ints.count) {
					ints.refill();
					value = 0;
					if (ints.count === 0) throw new Damage("a page has fewer values than its levels say");
				}
				const number = ints.values[value++];
				if (Number.isNaN(number)) throw new Damage("it has an integer beyond 2^53, which is not supported");
				out[slots++] = number;
			} else if (level >= slot) {
				this.#validity()[slots] = 0;
				out[slots++] = 0;
			}
		}
		this.#value = value;
		this.rows = rows;
		this.#slots = slots;
		this.#block = i;
		return full;
	}
	#keepLevels(from, to) {
		const count = to - from;
		if (this.#repetition !== void 0) this.#repetition.set(this.#repetitionBlock.subarray(from, to), this.#entries);
		if (this.#definition !== void 0) this.#definition.set(this.#definitionBlock.subarray(from, to), this.#entries);
		this.#entries += count;
	}
	/** Room for so many more entries, and at least for so many slots and bytes. */
	#reserve(entries, slots = this.#slots, size = this.#size) {
		const slotsNeeded = slots + entries;
		const entriesNeeded = this.#entries + entries;
		if (this.#repetition !== void 0) this.#repetition = grown(this.#repetition, entriesNeeded);
		if (this.#definition !== void 0) this.#definition = grown(this.#definition, entriesNeeded);
		if (this.leaf.type === "int") {
			if (slotsNeeded > this.#values.length) {
				const values = new Float64Array(Math.max(slotsNeeded, 2 * this.#values.length));
				values.set(this.#values);
				this.#values = values;
			}
		} else {
			if (slotsNeeded + 1 > this.#offsets.length) {
				const offsets = new Int32Array(Math.max(slotsNeeded + 1, 2 * this.#offsets.length));
				offsets.set(this.#offsets);
				this.#offsets = offsets;
			}
			if (size > this.#bytes.length) this.#growBytes(size);
		}
		if (this.#valid !== void 0 && this.#valid.length < slotsNeeded) {
			const valid = new Uint8Array(Math.max(slotsNeeded, 2 * this.#valid.length)).fill(1, this.#slots);
			valid.set(this.#valid.subarray(0, this.#slots));
			this.#valid = valid;
		}
	}
	#growBytes(needed) {
		if (needed > maxRowBytes) throw tooLarge();
		const size = Math.min(maxRowBytes, Math.max(needed, this.#bytes.length * 2, this.#expectedBytes));
		const bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
		bytes.set(this.#bytes.subarray(0, this.#size));
		this.#bytes = bytes;
	}
	/** The validity array, made when the first null turns up: all before it were values. */
	#validity() {
		this.#valid ??= new Uint8Array(Math.max(this.leaf.type === "int" ? this.#values.length : this.#offsets.length, 1)).fill(1);
		return this.#valid;
	}
	#entriesOf(rows) {
		if (this.#repetition === void 0) return rows;
		let seen = 0;
		for (let i = 0; i < this.#entries; i++) if (this.#repetition[i] === 0 && seen++ === rows) return i;
		return this.#entries;
	}
	#slotsOf(entries) {
		const { slot } = this.leaf;
		if (this.#definition === void 0 || slot === 0) return entries;
		let slots = 0;
		for (let i = 0; i < entries; i++) if (this.#definition[i] >= slot) slots++;
		return slots;
	}
};
function grown(array, needed) {
	if (needed <= array.length) return array;
	const larger = new Uint8Array(Math.max(needed, 2 * array.length));
	larger.set(array);
	return larger;
}
function checkLevels(block, got, count, max) {
	if (got < count) throw new Damage("a page has fewer levels than values");
	let worst = 0;
	for (let i = 0; i < count; i++) if (block[i] > worst) worst = block[i];
	if (worst > max) throw new Damage(`a level of ${worst}, where ${max} is the highest`);
}
function tooLarge() {
	return new Damage("it has a row of more than 2 GiB, which is not supported");
}
function hasNull(valid, slots) {
	if (valid === void 0) return false;
	for (let i = 0; i < slots; i++) if (valid[i] === 0) return true;
	return false;
}
const noStrings = {
	src: /* @__PURE__ */ new Uint8Array(0),
	starts: /* @__PURE__ */ new Int32Array(0),
	lengths: /* @__PURE__ */ new Int32Array(0),
	gap: void 0,
	count: 0,
	refill() {}
};
const noInts = {
	values: /* @__PURE__ */ new Float64Array(0),
	count: 0,
	refill() {}
};
// parquet/byte-source.ts
/** Opens a file for reading. Errors: NOT_FOUND when there is none, BAD_FILE when it cannot be read. */
function openByteSource(path, name) {
	const fd = attempt(name, () => openSync(path, "r"));
	let open = true;
	let size;
	try {
		size = attempt(name, () => {
			const stat = fstatSync(fd);
			if (!stat.isFile()) throw Object.assign(/* @__PURE__ */ new Error("it is not a file"), { code: "EISDIR" });
			return stat.size;
		});
	} catch (error) {
		closeSync(fd);
		throw error;
	}
	return {
		name,
		size,
		read(offset, length) {
			if (!(offset >= 0 && length >= 0 && offset + length <= size)) throw endsEarly(name, offset, length, size);
			const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
			let done = 0;
			while (done < length) {
				const got = attempt(name, () => readSync(fd, bytes, done, length - done, offset + done));
				if (got === 0) throw endsEarly(name, offset, length, offset + done);
				done += got;
			}
			return bytes;
		},
		close() {
			if (open) closeSync(fd);
			open = false;
		}
	};
}
/** Bytes in memory as a source. */
function bytesSource(bytes, name) {
	return {
		name,
		size: bytes.length,
		read(offset, length) {
			if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) throw endsEarly(name, offset, length, bytes.length);
			return bytes.slice(offset, offset + length);
		}
	};
}
function attempt(name, act) {
	for (;;) try {
		return act();
	} catch (error) {
		const code = error.code;
		if (code === "EINTR") continue;
		if (code === "ENOENT") throw new ShardmillError("NOT_FOUND", "the file does not exist.", {
			at: { file: name },
			cause: error
		});
		throw new ShardmillError("BAD_FILE", `the file cannot be read (${code ?? "unknown error"}).`, {
			at: { file: name },
			hint: "Check the disk and the file’s permissions.",
			retryable: code === "EIO" || code === "EMFILE" || code === "ENFILE" || code === "EAGAIN",
			cause: error
		});
	}
}
function endsEarly(name, offset, length, size) {
	return new ShardmillError("BAD_FILE", `the file ends at byte ${size}, but ${length} bytes were expected at ${offset}.`, {
		at: { file: name },
		hint: "The file is incomplete. Download it again."
	});
}
// parquet/index.ts
const defaultBatchBytes = 4194304;
const maxBatchRows = 65536;
/**
* Reads the footer of a parquet file. Errors (BAD_FILE, naming the file): empty, cut off, not parquet, encrypted,
* a footer that contradicts itself or the file's size.
*/
async function openParquet(source) {
	const footer = readFooter(source);
	return {
		source,
		rows: footer.rows,
		rowGroups: footer.rowGroups.map(({ firstRow, rows, bytes }) => ({
			firstRow,
			rows,
			bytes
		})),
		schema: [...footer.root.fields].map(([name, shape]) => ({
			name,
			type: describeShape(shape)
		})),
		footer
	};
}
/**
* The rows of the row groups `from` to `to` (not included), in order, only the asked columns. No batch crosses a
* row group. Values are those pyarrow gives; strings are UTF-8 bytes, and a row with one that is not is named in
* the batch's `badRows`. At any time a page of each column, its dictionary and the batch are in memory, however
* large the row group.
*
* Errors: NOT_FOUND for a missing column; BAD_FILE for one of another type, an unsupported codec, an integer beyond
* 2^53 and every kind of damage, naming the file, the row group and the column.
*/
async function* readParquet(file, groups, columns, options = {}) {
	const { source, footer } = file;
	const { from, to } = groups;
	if (!(from >= 0 && from <= to && to <= footer.rowGroups.length)) throw new TypeError(`row groups ${from} to ${to} of ${footer.rowGroups.length}`);
	const plans = planColumns(source.name, footer.root, columns);
	for (let index = from; index < to; index++) {
		const group = footer.rowGroups[index];
		if (group.rows > 0) yield* readGroup(source, group, index, plans, options);
	}
}
async function* readGroup(source, group, index, plans, options) {
	const where = {
		file: source.name,
		rowGroup: index
	};
	const readers = await openLeaves(source, group, where, plans);
	const batchBytes = Math.max(1, options.batchBytes ?? defaultBatchBytes);
	const batchRows = Math.max(1, Math.min(maxBatchRows, options.batchRows ?? maxBatchRows));
	const rowBytes = readers.reduce((sum, reader) => sum + group.chunks[reader.leaf.index].uncompressed, 0) / group.rows;
	const target = Math.max(1, Math.min(batchRows, Math.floor(batchBytes / Math.max(rowBytes, 1))));
	for (let done = 0; done < group.rows;) {
		let rows = Math.min(target, group.rows - done);
		for (const reader of readers) {
			guard({
				...where,
				column: reader.leaf.path
			}, () => {
				reader.fill({
					rows,
					bytes: batchBytes,
					slots: Math.max(maxBatchRows, batchBytes / 4)
				});
				if (reader.rows < rows && reader.ended && done + reader.rows < group.rows) throw new Damage(`it has ${done + reader.rows} rows, its row group ${group.rows}`);
			});
			rows = Math.min(rows, reader.rows);
		}
		const leaves = new Map(readers.map((reader) => [reader.leaf.index, reader.take(rows)]));
		const batchColumns = {};
		const badRows = /* @__PURE__ */ new Map();
		for (const [name, plan] of plans) {
			const column = guard({
				...where,
				column: name
			}, () => assemble(plan, rows, leaves, badRows));
			Object.defineProperty(batchColumns, name, {
				value: column,
				enumerable: true,
				configurable: true,
				writable: true
			});
		}
		yield {
			firstRow: group.firstRow + done,
			rows,
			columns: batchColumns,
			...badRows.size > 0 && { badRows }
		};
		done += rows;
	}
	for (const reader of readers) guard({
		...where,
		column: reader.leaf.path
	}, () => {
		if (reader.rows > 0 || !reader.ended) throw new Damage(`it has more rows than its row group’s ${group.rows}`);
	});
}
/** A reader for each physical column, the largest first: it tells best how many rows make a batch. */
async function openLeaves(source, group, where, plans) {
	const leaves = /* @__PURE__ */ new Map();
	for (const plan of plans.values()) for (const leaf of leavesOf(plan)) leaves.set(leaf.index, leaf);
	const readers = [];
	for (const leaf of leaves.values()) {
		const decompress = await codecOf(group.chunks[leaf.index].codec, {
			...where,
			column: leaf.path
		});
		readers.push(new LeafReader(source, group, leaf, decompress));
	}
	const size = (reader) => group.chunks[reader.leaf.index].uncompressed;
	return readers.sort((a, b) => size(b) - size(a) || a.leaf.index - b.leaf.index);
}
async function codecOf(codec, where) {
	const decompress = await loadCodec(codec);
	if (decompress !== void 0) return decompress;
	const why = codec === -1 ? "it is encrypted, which is not supported." : codec === -2 ? "its data are in another file, which is not supported." : `its compression codec ${codecName(codec)} is not supported.`;
	throw new ShardmillError("BAD_FILE", `row group ${where.rowGroup}, column "${where.column}": ${why}`, {
		at: { file: where.file },
		hint: "Write the file again with one of: uncompressed, snappy, gzip, brotli, lz4, zstd."
	});
}
function guard(where, act) {
	try {
		return act();
	} catch (error) {
		throw asBadFile(error, where);
	}
}
// bench/reader.ts
/**
* Reader against hyparquet's `parquetReadObjects`, in one process, in turns: a column of conversations
* (`list<struct<role, content>>`), snappy, zstd and uncompressed, one thread. MB are 10^6 bytes of message text.
*
* The corpus is what the chat dataset in ../shared/hub holds, or generated text where there is none.
* `--json` prints one JSON object, `--rounds N` (default 5) takes the median of more rounds.
*/
const string = { kind: "string" };
const columns = { messages: {
	kind: "list",
	item: {
		kind: "struct",
		fields: {
			role: string,
			content: string
		}
	}
} };
async function benchReader(rounds = 5) {
	const conversations = await corpus();
	await loadZstd();
	const { compress } = await import("@bokuweb/zstd-wasm");
	const codecs = {
		UNCOMPRESSED: void 0,
		SNAPPY: snappyCompressor(),
		ZSTD: (input) => compress(input, 3)
	};
	const figures = [];
	for (const [codec, compressor] of Object.entries(codecs)) {
		const bytes = new Uint8Array(parquetWriteBuffer({
			columnData: [{
				name: "messages",
				data: conversations
			}],
			schema: [
				{
					name: "root",
					num_children: 1
				},
				{
					name: "messages",
					repetition_type: "OPTIONAL",
					num_children: 1,
					converted_type: "LIST"
				},
				{
					name: "list",
					repetition_type: "REPEATED",
					num_children: 1
				},
				{
					name: "element",
					repetition_type: "OPTIONAL",
					num_children: 2
				},
				{
					name: "role",
					type: "BYTE_ARRAY",
					converted_type: "UTF8",
					repetition_type: "OPTIONAL"
				},
				{
					name: "content",
					type: "BYTE_ARRAY",
					converted_type: "UTF8",
					repetition_type: "OPTIONAL"
				}
			],
			codec,
			...compressor && { compressors: { [codec]: compressor } },
			rowGroupSize: 5e3
		}));
		figures.push(await measure(codec.toLowerCase(), bytes, rounds));
	}
	return figures;
}
async function measure(codec, bytes, rounds) {
	const pairs = [];
	let textBytes = 0;
	for (let round = 0; round <= rounds; round++) {
		let characters = 0;
		const count = (content) => {
			if (round === 0) characters += Buffer.from(content).toString().length;
		};
		const [read, ours] = await timed(() => readOurs(bytes, count));
		const [expected, theirs] = await timed(() => readHyparquet(bytes));
		textBytes = read;
		if (round > 0) pairs.push([ours, theirs]);
		else if (characters !== expected) throw new Error(`${characters} characters, hyparquet ${expected}`);
	}
	const rate = (seconds) => textBytes / 1e6 / seconds;
	return {
		codec,
		fileBytes: bytes.length,
		textBytes,
		ours: rate(median(pairs.map(([ours]) => ours))),
		hyparquet: rate(median(pairs.map(([, theirs]) => theirs))),
		ratio: median(pairs.map(([ours, theirs]) => theirs / ours))
	};
}
async function readOurs(bytes, use) {
	const file = await openParquet(bytesSource(bytes, "corpus"));
	let sum = 0;
	for await (const batch of readParquet(file, {
		from: 0,
		to: file.rowGroups.length
	}, columns)) {
		const content = contentOf(batch.columns.messages);
		sum += content.bytes.length;
		use(content.bytes);
	}
	return sum;
}
function contentOf(column) {
	if (column.kind !== "list" || column.item.kind !== "struct") throw new Error("not a list of structs");
	const { content } = column.item.fields;
	if (content?.kind !== "string") throw new Error("no content");
	return content;
}
async function readHyparquet(bytes) {
	const buffer = bytes.buffer;
	const file = {
		byteLength: buffer.byteLength,
		slice: (start, end) => buffer.slice(start, end)
	};
	const metadata = parquetMetadata(buffer);
	let characters = 0;
	let rowStart = 0;
	for (const group of metadata.row_groups) {
		const rowEnd = rowStart + Number(group.num_rows);
		const rows = await parquetReadObjects({
			file,
			metadata,
			compressors,
			rowStart,
			rowEnd
		});
		for (const row of rows) for (const { content } of row.messages) characters += content.length;
		rowStart = rowEnd;
	}
	return characters;
}
async function timed(work) {
	const start = performance.now();
	return [await work(), (performance.now() - start) / 1e3];
}
function median(values) {
	return [...values].sort((a, b) => a - b)[values.length >> 1];
}
async function corpus() {
	const folder = join(import.meta.dirname, "../../shared/hub/datasets/HuggingFaceTB/smol-smoltalk/data");
	const conversations = [];
	if (!existsSync(folder)) return generated();
	for (const name of readdirSync(folder).sort()) {
		const source = openByteSource(join(folder, name), name);
		const file = await openParquet(source);
		for await (const batch of readParquet(file, {
			from: 0,
			to: file.rowGroups.length
		}, columns)) {
			const list = batch.columns.messages;
			if (list.kind !== "list" || list.item.kind !== "struct") throw new Error("not a list of structs");
			const { role, content } = list.item.fields;
			const text = (column, i) => column.kind === "string" ? Buffer.from(column.bytes.subarray(column.offsets[i], column.offsets[i + 1])).toString() : "";
			for (let row = 0; row < batch.rows; row++) {
				const messages = [];
				for (let i = list.offsets[row]; i < list.offsets[row + 1]; i++) messages.push({
					role: text(role, i),
					content: text(content, i).replace(/^\ufeff/, "")
				});
				conversations.push(messages);
			}
		}
		source.close();
	}
	return conversations;
}
/** 40 MB of sentences from a few thousand made-up words, the common ones more often. */
function generated() {
	let state = 1;
	const random = () => {
		state = Math.imul(state, 1103515245) + 12345 >>> 0;
		return state / 2 ** 32;
	};
	const syllables = "ba ce di fo gu ha ji ko lu me ni po qua re si tu ve wo xi yo za the ing er tion".split(" ");
	const words = Array.from({ length: 5e3 }, () => Array.from({ length: 1 + Math.floor(random() * 4) }, () => syllables[Math.floor(random() * syllables.length)]).join(""));
	const sentence = (length) => Array.from({ length }, () => words[Math.floor(random() ** 3 * words.length)]).join(" ");
	return Array.from({ length: 36e3 }, () => Array.from({ length: 2 + 2 * Math.floor(random() * 2.5) }, (_, i) => ({
		role: i % 2 === 0 ? "user" : "assistant",
		content: sentence(5 + Math.floor(random() * 110))
	})));
}
if (process.argv[1] === import.meta.filename) {
	const { values } = parseArgs({ options: {
		json: { type: "boolean" },
		rounds: { type: "string" }
	} });
	const figures = await benchReader(Number(values.rounds ?? 5));
	if (values.json === true) process.stdout.write(`${JSON.stringify({
		schema: 1,
		reader: figures
	})}\n`);
	else {
		process.stdout.write("codec         text MB   ours MB/s   hyparquet MB/s   ratio\n");
		for (const { codec, textBytes, ours, hyparquet, ratio } of figures) process.stdout.write(`${codec.padEnd(14)}${(textBytes / 1e6).toFixed(1).padStart(7)}${ours.toFixed(0).padStart(12)}${hyparquet.toFixed(0).padStart(17)}${ratio.toFixed(1).padStart(8)}\n`);
	}
}
export { benchReader };
