/** What the room chat offers to others. */
export { BUILTIN_TEMPLATES, type BuiltinTemplate } from "./builtin-templates.js";
export type { Conversation, Message, TextPart, ToolCall } from "./conversation.js";
export {
  CHAT_MASKS,
  type ChatMask,
  type EncodeChatOptions,
  type EncodedConversation,
  type EncodedPreference,
  encodeConversation,
  encodePreference,
} from "./encode.js";
export { CHAT_FORMATS, type ChatFormat, conversationOf } from "./formats.js";
export { type ChatPreference, type PreferencePair, preferenceOf, type TextPreference } from "./preference.js";
export {
  type EncodedChat,
  encodeChat,
  type ReadRecordsOptions,
  readConversations,
  readPreferences,
  readVerifiablePrompts,
} from "./read.js";
export {
  CHAT_PACKINGS,
  ChatBatches,
  type ChatBatchesOptions,
  type ChatPacking,
  type ChatPackingReport,
  ChatTokens,
} from "./rows.js";
export { ChatTemplate, type ChatTemplateOptions, type Rendering, type RenderOptions } from "./template.js";
export { type ExpectedAnswer, type VerifiablePrompt, verifiablePromptOf } from "./verifiable.js";
