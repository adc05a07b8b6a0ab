"use strict";
// Unpacks zlib streams (RFC 1950, 1951) at once: a page about to be printed cannot wait for DecompressionStream.
const inflate = (() => {
  const LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
  const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
  const DISTANCES = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
  const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

  // A table of canonical Huffman codes: by the next `bits` bits, the symbol * 16 + the length of its code.
  const table = (lengths) => {
    const bits = Math.max(1, ...lengths), found = new Uint16Array(1 << bits), starts = new Uint16Array(bits + 2);
    for (const length of lengths) if (length) starts[length + 1]++;
    for (let length = 1; length <= bits; length++) starts[length + 1] = (starts[length] + starts[length + 1]) << 1;
    lengths.forEach((length, symbol) => {
      if (!length) return;
      let code = starts[length]++, turned = 0;
      for (let i = 0; i < length; i++, code >>= 1) turned = (turned << 1) | (code & 1);
      for (let at = turned; at < found.length; at += 1 << length) found[at] = symbol * 16 + length;
    });
    return { bits, found };
  };

  const plain = (() => {
    const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
    return [table(lengths), table(Array(30).fill(5))];
  })();

  return (data, size) => {
    const out = new Uint8Array(size);
    let at = 2, to = 0, held = 0, count = 0; // after the header; `count` bits are held
    const take = (n) => {
      while (count < n) { held |= data[at++] << count; count += 8; }
      const value = held & ((1 << n) - 1);
      held >>>= n;
      count -= n;
      return value;
    };
    const symbol = ({ bits, found }) => {
      while (count < bits) { held |= (data[at++] || 0) << count; count += 8; }
      const entry = found[held & ((1 << bits) - 1)];
      held >>>= entry & 15;
      count -= entry & 15;
      return entry >> 4;
    };
    const tables = () => {
      const literals = take(5) + 257, distances = take(5) + 1, codes = take(4) + 4, first = Array(19).fill(0);
      for (let i = 0; i < codes; i++) first[ORDER[i]] = take(3);
      const code = table(first), lengths = [];
      while (lengths.length < literals + distances) {
        const next = symbol(code);
        if (next < 16) lengths.push(next);
        else {
          const [value, times] = next === 16 ? [lengths[lengths.length - 1], 3 + take(2)] : [0, next === 17 ? 3 + take(3) : 11 + take(7)];
          for (let i = 0; i < times; i++) lengths.push(value);
        }
      }
      return [table(lengths.slice(0, literals)), table(lengths.slice(literals))];
    };
    for (let last = false; !last;) {
      last = take(1) === 1;
      const kind = take(2);
      if (kind === 0) { // stored
        at -= count >> 3;
        held = count = 0;
        const length = data[at] | (data[at + 1] << 8);
        out.set(data.subarray(at + 4, at + 4 + length), to);
        at += 4 + length;
        to += length;
        continue;
      }
      const [literals, distances] = kind === 1 ? plain : tables();
      for (let next; (next = symbol(literals)) !== 256;) {
        if (to > size) throw new Error("a damaged stack of images");
        if (next < 256) { out[to++] = next; continue; }
        let length = LENGTHS[next - 257] + take(LENGTH_BITS[next - 257]);
        const far = symbol(distances), from = DISTANCES[far] + take(far < 4 ? 0 : (far >> 1) - 1);
        for (; length; length--, to++) out[to] = out[to - from];
      }
    }
    if (to !== size) throw new Error("a damaged stack of images");
    return out;
  };
})();
