// clean.cc — cleaning rules compiled once, and batches of documents that go through them.
#include "addon/text/clean.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "addon/job.h"
#include "text/clean/cleaner.h"
#include "text/clean/repair.h"
#include "text/error.h"

namespace anneal::addon {
namespace {

namespace clean = text::clean;

std::vector<std::string> strings(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<std::string> all;
  for (uint32_t i = 0; i < list.Length(); ++i) all.push_back(list.Get(i).As<Napi::String>().Utf8Value());
  return all;
}

clean::CleanOptions optionsOf(const Napi::Object& from) {
  const auto number = [&](const char* name) { return from.Get(name).As<Napi::Number>().DoubleValue(); };
  const auto flag = [&](const char* name) { return from.Get(name).As<Napi::Boolean>().Value(); };
  clean::CleanOptions options;
  const auto thresholds = from.Get("thresholds").As<Napi::Float64Array>();
  if (thresholds.ElementLength() != clean::kRuleCount) {
    throw text::TextError("ERR_NATIVE", "cleaning has " + std::to_string(clean::kRuleCount) + " rules, got " +
                                            std::to_string(thresholds.ElementLength()) + " thresholds");
  }
  std::copy_n(thresholds.Data(), clean::kRuleCount, options.thresholds.begin());
  options.english = flag("english");
  options.ideographs = flag("ideographs");
  options.stopWords = strings(from.Get("stopWords"));
  options.lines = flag("lines");
  options.maxWordLength = number("maxWordLength");
  options.terminalPunctuation = flag("terminalPunctuation");
  options.minWordsPerLine = number("minWordsPerLine");
  options.javascript = flag("javascript");
  options.policyPhrases = strings(from.Get("policyPhrases"));
  options.citations = flag("citations");
  options.shortLine = static_cast<uint32_t>(number("shortLine"));
  options.longParagraph = static_cast<uint32_t>(number("longParagraph"));
  options.terminalMarks = from.Get("terminalMarks").As<Napi::String>().Utf8Value();
  const auto placeholders = from.Get("placeholders").As<Napi::Array>();
  for (uint32_t kind = 0; kind < clean::kMaskCount; ++kind) {
    options.placeholders[kind] = strings(placeholders.Get(kind));
  }
  options.publicAddressesOnly = flag("publicAddressesOnly");
  options.examples = static_cast<uint32_t>(number("examples"));
  return options;
}

// cleanFacts(): {rules: [{name, above}], lineRules, masks}, in the order of all results.
Napi::Value cleanFacts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array rules = Napi::Array::New(env, clean::kRuleCount);
  for (uint32_t rule = 0; rule < clean::kRuleCount; ++rule) {
    Napi::Object facts = Napi::Object::New(env);
    facts.Set("name", Napi::String::New(env, std::string(clean::kRules[rule].name)));
    facts.Set("above", Napi::Boolean::New(env, clean::kRules[rule].above));
    rules.Set(rule, facts);
  }
  Napi::Object facts = Napi::Object::New(env);
  facts.Set("rules", rules);
  facts.Set("lineRules", Napi::Number::New(env, clean::kLineRuleCount));
  facts.Set("masks", Napi::Number::New(env, clean::kMaskCount));
  return facts;
}

// createCleaner(options): the rules, ready for batches.
Napi::Value createCleaner(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    auto rules = std::make_unique<clean::DocumentRules>(optionsOf(info[0].As<Napi::Object>()));
    const auto external = Napi::External<clean::DocumentRules>::New(
        env, rules.get(), [](Napi::Env, clean::DocumentRules* old) { delete old; });
    rules.release();
    return external;
  });
}

// maskText(cleaner, text): the text as masking leaves it.
Napi::Value maskText(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    const clean::DocumentRules* rules = info[0].As<Napi::External<clean::DocumentRules>>().Data();
    return Napi::String::New(info.Env(), rules->masked(info[1].As<Napi::String>().Utf8Value()));
  });
}

// Texts one after the other, as TextBatch has them.
class Joined {
 public:
  void add(std::string text) {
    if (bytes_.size() + text.size() > std::numeric_limits<uint32_t>::max()) {
      throw text::TextError("ERR_DATA", "cleaned texts have 4 GiB or more together; use smaller batches",
                            {{"bytes", static_cast<double>(bytes_.size() + text.size())}});
    }
    bytes_ += text;
    ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  void set(Napi::Env env, Napi::Object to) const {
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, bytes_.size());
    std::memcpy(bytes.Data(), bytes_.data(), bytes_.size());
    to.Set("bytes", bytes);
    to.Set("ends", copied<Napi::Uint32Array>(env, ends_.data(), ends_.size()));
  }

 private:
  std::string bytes_;
  std::vector<uint32_t> ends_;
};

// Everything about a batch but its examples, flat.
struct Cleaned {
  std::vector<int32_t> rules;
  std::vector<double> values;
  std::vector<uint32_t> lines;
  std::vector<uint32_t> lineCounts;
  std::vector<uint32_t> lineBytes;
  std::vector<uint32_t> masked;
  std::vector<uint32_t> edited;
  Joined texts;
  std::vector<clean::Example> examples;
};

Cleaned flatten(clean::BatchResult result) {
  Cleaned flat;
  for (size_t index = 0; index < result.documents.size(); ++index) {
    clean::DocumentResult& document = result.documents[index];
    flat.rules.push_back(document.rule);
    flat.values.insert(flat.values.end(), document.values.begin(), document.values.end());
    flat.lines.push_back(document.lines);
    flat.lineCounts.insert(flat.lineCounts.end(), document.lineCounts.begin(), document.lineCounts.end());
    flat.lineBytes.insert(flat.lineBytes.end(), document.lineBytes.begin(), document.lineBytes.end());
    flat.masked.insert(flat.masked.end(), document.masked.begin(), document.masked.end());
    if (document.rule < 0 && document.edited) {
      flat.edited.push_back(static_cast<uint32_t>(index));
      flat.texts.add(std::move(document.text));
    }
  }
  flat.examples = std::move(result.examples);
  return flat;
}

Napi::Array examplesOf(Napi::Env env, const std::vector<clean::Example>& examples) {
  Napi::Array list = Napi::Array::New(env, examples.size());
  for (uint32_t i = 0; i < examples.size(); ++i) {
    const clean::Example& example = examples[i];
    const std::string& text = example.excerpt.text;
    const uint32_t begin = example.excerpt.begin;
    const uint32_t end = example.excerpt.end;
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(example.hash));
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("subject", Napi::Number::New(env, example.excerpt.subject));
    entry.Set("document", Napi::Number::New(env, example.document));
    entry.Set("hash", Napi::String::New(env, hash));
    entry.Set("before", Napi::String::New(env, text.data(), begin));
    entry.Set("passage", Napi::String::New(env, text.data() + begin, end - begin));
    entry.Set("after", Napi::String::New(env, text.data() + end, text.size() - end));
    list.Set(i, entry);
  }
  return list;
}

// Word 1 and 2 of the control are bytes done and bytes in all.
clean::Progress progressOf(JobControl& control, const text::TextBatch& batch) {
  return [&control, total = static_cast<double>(batch.totalBytes())](uint64_t bytes) {
    control.progress(static_cast<double>(bytes), total);
    control.check();
  };
}

// cleanBatch(cleaner, bytes, ends, threads, words): see NativeCleaned in lib/native/text/clean.ts.
Napi::Value cleanBatch(const Napi::CallbackInfo& info) {
  const clean::DocumentRules* rules = info[0].As<Napi::External<clean::DocumentRules>>().Data();
  const text::TextBatch batch = batchArgument(info, 1);
  const unsigned threads = info[3].As<Napi::Number>().Uint32Value();
  return runJob(info.Env(), {info[0], info[1], info[2]}, info[4], [=](JobControl& control) -> JobResult {
    auto cleaned =
        std::make_shared<Cleaned>(flatten(clean::clean(*rules, batch, threads, progressOf(control, batch))));
    return [cleaned](Napi::Env env) -> Napi::Value {
      const auto numbers = [env](const std::vector<uint32_t>& values) {
        return copied<Napi::Uint32Array>(env, values.data(), values.size());
      };
      Napi::Object result = Napi::Object::New(env);
      result.Set("rules", copied<Napi::Int32Array>(env, cleaned->rules.data(), cleaned->rules.size()));
      result.Set("values", copied<Napi::Float64Array>(env, cleaned->values.data(), cleaned->values.size()));
      result.Set("lines", numbers(cleaned->lines));
      result.Set("lineCounts", numbers(cleaned->lineCounts));
      result.Set("lineBytes", numbers(cleaned->lineBytes));
      result.Set("masked", numbers(cleaned->masked));
      result.Set("edited", numbers(cleaned->edited));
      cleaned->texts.set(env, result);
      result.Set("examples", examplesOf(env, cleaned->examples));
      return result;
    };
  });
}

// repairBatch(bytes, ends, steps, threads, words): {indices, bytes, ends} of the texts that changed.
Napi::Value repairBatch(const Napi::CallbackInfo& info) {
  const text::TextBatch batch = batchArgument(info, 0);
  const uint32_t steps = info[2].As<Napi::Number>().Uint32Value();
  const unsigned threads = info[3].As<Napi::Number>().Uint32Value();
  return runJob(info.Env(), {info[0], info[1]}, info[4], [=](JobControl& control) -> JobResult {
    clean::RepairedTexts repaired = clean::repair(batch, steps, threads, progressOf(control, batch));
    auto texts = std::make_shared<Joined>();
    for (std::string& text : repaired.texts) texts->add(std::move(text));
    return [texts, indices = std::move(repaired.indices)](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("indices", copied<Napi::Uint32Array>(env, indices.data(), indices.size()));
      texts->set(env, result);
      return result;
    };
  });
}

// splitWords(text, english, ideographs): byte offsets [begin, end) of the words of a text, one after the
// other.
Napi::Value splitWords(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const std::string text = info[0].As<Napi::String>().Utf8Value();
    const clean::WordSplitter splitter({.english = info[1].As<Napi::Boolean>().Value(),
                                        .ideographs = info[2].As<Napi::Boolean>().Value(),
                                        .exceptions = true});
    std::vector<clean::Word> words;
    splitter.split(text, words);
    std::vector<uint32_t> spans;
    for (const clean::Word& word : words) {
      spans.push_back(word.begin);
      spans.push_back(word.end);
    }
    return copied<Napi::Uint32Array>(env, spans.data(), spans.size());
  });
}

}  // namespace

void exportClean(Napi::Env env, Napi::Object exports) {
  exports.Set("cleanFacts", Napi::Function::New(env, cleanFacts, "cleanFacts"));
  exports.Set("createCleaner", Napi::Function::New(env, createCleaner, "createCleaner"));
  exports.Set("cleanBatch", Napi::Function::New(env, cleanBatch, "cleanBatch"));
  exports.Set("repairBatch", Napi::Function::New(env, repairBatch, "repairBatch"));
  exports.Set("maskText", Napi::Function::New(env, maskText, "maskText"));
  exports.Set("splitWords", Napi::Function::New(env, splitWords, "splitWords"));
}

}  // namespace anneal::addon
