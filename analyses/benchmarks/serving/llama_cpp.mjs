// Greedy answers of a GGUF file by llama.cpp, and its speed in tokens per CPU second on one thread.
// node llama_cpp.mjs MODEL.gguf JOB.json OUT.json [number of prompts]
// JOB: {"prompts": [[token ids]], "tokens": 16, "threads": 1, "context": 512}
import fs from "node:fs";
import {getLlama} from "node-llama-cpp";

const [path, jobPath, outPath, count] = process.argv.slice(2);
const job = JSON.parse(fs.readFileSync(jobPath, "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: job.threads});
const model = await llama.loadModel({modelPath: path, useMmap: false});
const context = await model.createContext({
  contextSize: job.context, sequences: 1, threads: job.threads, flashAttention: false,
  experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32",
});
const sequence = context.getSequence();
const cpu = (since) => { const x = process.cpuUsage(since); return (x.user + x.system) / 1e6; };
const answers = [];
let prefill = 0, decode = 0, read = 0, made = 0;
for (const prompt of job.prompts.slice(0, Number(count ?? job.prompts.length))) {
  await sequence.clearHistory();
  const answer = [];
  const start = process.cpuUsage();
  let first = 0;
  for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
    if (!answer.length) first = cpu(start);
    answer.push(token);
    if (answer.length >= job.tokens || model.isEogToken(token)) break;
  }
  prefill += first; decode += cpu(start) - first;
  read += prompt.length; made += answer.length - 1;
  answers.push(answer);
}
fs.writeFileSync(outPath, JSON.stringify({
  answers, prefill: read / prefill, decode: made / decode, bytes: fs.statSync(path).size,
}));
process.exit(0);
