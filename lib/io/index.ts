/**
 * Room `io`: named arrays, checkpoints and run folders on disk. It moves bytes with their names, dtypes and shapes
 * and proves that they arrived whole; it knows nothing of tensors, devices or models (models/ gives names their
 * meaning). Every write is atomic: a process that is killed at any moment leaves the old state or the new one.
 */

export { type Dtype, dtypeBytes, isDtype, type NamedArray } from "./arrays.js";
export { atomically, cleanTemporaryFiles, writeFileAtomic } from "./atomic.js";
export {
  cleanCheckpoints,
  pinCheckpoint,
  removeCheckpointsAfter,
  type SaveCheckpointOptions,
  type SavedCheckpoint,
  saveCheckpoint,
} from "./checkpoint.js";
export {
  type CheckpointEntry,
  type CheckpointManifest,
  listCheckpoints,
  type ManifestFile,
  readPins,
} from "./checkpoint-layout.js";
export { type LoadCheckpointOptions, type LoadedCheckpoint, loadCheckpoint } from "./checkpoint-load.js";
export { f16ToF32, f32ToBf16, toF32 } from "./convert.js";
export { type FileSystem, type FileSystemHandle, nodeFileSystem } from "./filesystem.js";
export { globBase, globFilter, globPattern, isGlob } from "./glob.js";
export {
  type HubProgress,
  type Snapshot,
  type SnapshotOptions,
  snapshot,
  snapshotDataset,
  snapshotHubPath,
  snapshotModel,
} from "./hub.js";
export { hubCacheFolder } from "./hub-cache.js";
export {
  type HubPath,
  type HubRepository,
  type HubRepositoryType,
  isHubPath,
  parseHubPath,
} from "./hub-path.js";
export { parseJson, readJson } from "./json.js";
export { JsonlWriter } from "./jsonl.js";
export { acquireLock, type LockHolder, type RunLock } from "./lock.js";
export { type ModelFolder, readModelFolder } from "./model-folder.js";
export { type WriteModelFolderOptions, writeModelFolder } from "./model-folder-write.js";
export { RunFolder, type RunFolderOptions } from "./run-folder.js";
export { openSafetensors, SafetensorsFile, type WrittenFile, writeSafetensors } from "./safetensors.js";
export { parseHeader, type SafetensorsHeader, type TensorEntry } from "./safetensors-header.js";
