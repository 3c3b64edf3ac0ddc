/** Fetches the dataset of hub-kill.test.ts from the endpoint in argv[2] into the cache in argv[3]. */

import { snapshotDataset } from "../../lib/io/hub.js";

const [, , endpoint, cacheDir] = process.argv;
const { files } = await snapshotDataset("owner/name", {
  endpoint,
  cacheDir,
  token: false,
  retryDelay: 1,
  onProgress: ({ bytesDone }) => process.stdout.write(`${bytesDone}\n`),
});
process.stdout.write(`whole ${files.length}\n`);
