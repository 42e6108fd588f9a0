// Token ids of texts by llama.cpp, special tokens not among them.
// node tokenize.mjs TEXTS.json OUT.json FILE.gguf ...
import fs from "node:fs";
import {getLlama} from "node-llama-cpp";

const [textsPath, outPath, ...paths] = process.argv.slice(2);
const texts = JSON.parse(fs.readFileSync(textsPath, "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: 1});
const out = {};
for (const path of paths) {
  const model = await llama.loadModel({modelPath: path, useMmap: false});
  out[path] = texts.map((text) => model.tokenize(text, false));
  await model.dispose();
}
fs.writeFileSync(outPath, JSON.stringify(out));
process.exit(0);
