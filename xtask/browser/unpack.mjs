// Unpacks the parts of the npm package @sparticuz/chromium, which are compressed with Brotli: node has a decoder, Python's
// standard library has none. Usage: node unpack.mjs PACKAGE FOLDER
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const [from, to] = process.argv.slice(2);
for (const part of ["chromium", "al2023.tar", "swiftshader.tar", "fonts.tar"]) {
  await pipeline(
    createReadStream(join(from, "bin", `${part}.br`)),
    createBrotliDecompress(),
    createWriteStream(join(to, part)),
  );
}
