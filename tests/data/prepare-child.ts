/** A preparation for the kill loop. Arguments: source, output folder, tokens per shard. Prints a line for every record that was written. */
import { prepareTokens } from "../../lib/data/prepare.js";
import { nodeFileSystem } from "../../lib/io/filesystem.js";
import { ByteTokenizer } from "../../lib/tokenizer/byte.js";

const [paths, outDir, shardTokens] = process.argv.slice(2);
const { reused } = await prepareTokens({
  ...{ paths, outDir, shardTokens: Number(shardTokens), tokenizer: new ByteTokenizer(), seed: 2 },
  fs: {
    ...nodeFileSystem,
    async rename(from, to) {
      await nodeFileSystem.rename(from, to);
      process.stdout.write(`${to}\n`);
    },
  },
});
process.stdout.write(reused ? "reused\n" : "done\n");
