// exceptions.cc — the exceptions of spaCy's English tokenizer, put together from the parts they are made of.
#include "text/clean/exceptions.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>
#include <sstream>

#include "text/clean/words.h"

namespace anneal::text::clean {
namespace {

// Exceptions by text; a later one replaces an earlier one.
class Builder {
 public:
  // The string that the parts make together; empty parts are left out.
  void add(const std::vector<std::string>& parts, bool english = true) {
    put(parts, english);
    // Whatever is written with an apostrophe may be written with a raised comma too.
    std::vector<std::string> curly = parts;
    for (std::string& part : curly) {
      for (size_t at; (at = part.find('\'')) != std::string::npos;) part.replace(at, 1, "’");
    }
    put(curly, english);
  }
  // Also with a capital.
  void addBoth(const std::vector<std::string>& parts) {
    add(parts);
    std::vector<std::string> capital = parts;
    capital[0][0] = static_cast<char>(std::toupper(static_cast<unsigned char>(capital[0][0])));
    add(capital);
  }
  // Endings with and without their apostrophe: ("do", {"n't", "'ve"}) makes don't've and dontve.
  void addContraction(const std::string& word, const std::vector<std::string>& endings) {
    std::vector<std::string> with = {word};
    std::vector<std::string> without = {word};
    for (const std::string& ending : endings) {
      with.push_back(ending);
      std::string plain = ending;
      plain.erase(std::remove(plain.begin(), plain.end(), '\''), plain.end());
      without.push_back(plain);
    }
    addBoth(with);
    addBoth(without);
  }
  void addWords(const char* list, bool english = true) {
    std::istringstream words(list);
    for (std::string word; words >> word;) add({word}, english);
  }
  void remove(const std::string& text) { entries_.erase(text); }
  std::vector<WordException> take() {
    std::vector<WordException> all;
    for (auto& [text, entry] : entries_) all.push_back(std::move(entry));
    return all;
  }

 private:
  void put(const std::vector<std::string>& parts, bool english) {
    WordException entry;
    for (const std::string& part : parts) {
      if (!entry.text.empty()) entry.cuts.push_back(static_cast<uint8_t>(entry.text.size()));
      entry.text += part;
    }
    entry.english = english;
    entries_[entry.text] = std::move(entry);
  }
  std::map<std::string, WordException> entries_;
};

std::vector<std::string> listed(const char* list) {
  std::istringstream words(list);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  return all;
}

void addSharedExceptions(Builder& to) {
  to.addWords(R"(\t \n — ' \") <space> '' C++ ä. ö. ü.)", false);
  for (char letter = 'a'; letter <= 'z'; ++letter) to.add({std::string(1, letter) + "."}, false);
  for (const char letter : {'c', 'f', 'k', 'C', 'F', 'K'}) to.add({"°", std::string(1, letter), "."}, false);
  to.addWords(R"(
      :) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-(
      :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o
      :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.<
      >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33
      <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>)",
              false);
}

void addContractions(Builder& to) {
  to.addContraction("i", {"'m"});
  for (const char* word : {"i'm", "im"}) {
    const std::string first = "i";
    to.addBoth({first, std::string(word).substr(1), "a"});
  }
  for (const std::string& word : listed("i you he she it we they")) {
    to.addContraction(word, {"'ll"});
    to.addContraction(word, {"'ll", "'ve"});
    to.addContraction(word, {"'d"});
    to.addContraction(word, {"'d", "'ve"});
  }
  for (const std::string& word : listed("i you we they")) to.addContraction(word, {"'ve"});
  for (const std::string& word : listed("you we they")) to.addContraction(word, {"'re"});
  for (const std::string& word : listed("he she it")) to.addContraction(word, {"'s"});
  for (const std::string& word : listed("who what when where why how there that this these those")) {
    const bool plural = word == "these" || word == "those";
    const bool singular = word == "that" || word == "this";
    if (!plural) to.addContraction(word, {"'s"});
    to.addContraction(word, {"'ll"});
    to.addContraction(word, {"'ll", "'ve"});
    if (!singular) {
      to.addContraction(word, {"'re"});
      to.addContraction(word, {"'ve"});
    }
    to.addContraction(word, {"'d"});
    to.addContraction(word, {"'d", "'ve"});
  }
  for (const std::string& word :
       listed("ca could do does did had may might must need ought sha should wo would")) {
    to.addContraction(word, {"n't"});
    to.addContraction(word, {"n't", "'ve"});
  }
  for (const std::string& word : listed("could might must should would")) to.addContraction(word, {"'ve"});
  for (const std::string& word : listed("ai are is was were have has dare")) to.addContraction(word, {"n't"});
  to.addBoth({"not", "'ve"});
  to.addBoth({"not", "ve"});
  to.addBoth({"can", "not"});
  to.addBoth({"gon", "na"});
  to.addBoth({"got", "ta"});
  to.addBoth({"let", "'s"});
  to.addBoth({"c'm", "on"});
  to.addBoth({"how", "'d", "'y"});
  to.add({"y'", "all"});
  to.add({"y", "all"});
  for (int hour = 1; hour <= 12; ++hour) {
    for (const char* half : {"a.m.", "am", "p.m.", "pm"}) to.add({std::to_string(hour), half});
  }
  // Contractions without an apostrophe that are words of their own.
  for (const char* word : {"ill", "its", "hell", "shell", "shed", "were", "well", "whore"}) {
    std::string text = word;
    to.remove(text);
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    to.remove(text);
  }
}

void addAbbreviations(Builder& to) {
  for (const std::string& word : listed("doin goin nothin nuthin ol somethin lovin havin")) {
    to.addBoth({word});
    to.addBoth({word + "'"});
  }
  to.addWords(
      R"(em 'em ll 'll nuff 'nuff 'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz
      'bout 'd ma'am Ma'am o'clock O'clock)");
  to.addWords(
      R"(Adm. Ak. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Co. co. Colo. Conn. Corp. D.C. Dec. Del. Dr. E.G.
      E.g. e.g. Feb. Fla. Ga. Gen. Gov. I.E. I.e. i.e. Ia. Id. Ill. Inc. Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky. La.
      Ltd. Mar. Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt. N.C. N.D. N.H. N.J. N.M. N.Y. Neb.
      Nebr. Nev. Nov. Oct. Okla. Ore. Pa. Ph.D. Prof. Rep. Rev. S.C. Sen. Sep. Sept. St. Tenn. Va. Wash. Wis. a.m.
      p.m. v.s. vs.)");
}

uint32_t hashOf(std::string_view text) {
  uint32_t hash = 0x811C9DC5U;
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x01000193U;
  return hash ^ hash >> 15;
}

}  // namespace

const WordExceptions& WordExceptions::instance() {
  static const WordExceptions exceptions;
  return exceptions;
}

WordExceptions::WordExceptions() {
  Builder builder;
  addSharedExceptions(builder);
  addContractions(builder);
  addAbbreviations(builder);
  entries_ = builder.take();
  std::vector<Word> words;
  for (WordException& entry : entries_) {
    words.clear();
    const WordSplitter splitter({.english = entry.english, .ideographs = false, .exceptions = false}, *this);
    splitter.split(entry.text, words);
    for (size_t word = 1; word < words.size(); ++word) {
      entry.plain.push_back(static_cast<uint8_t>(words[word].begin));
    }
  }
  slots_.assign(4096, 0);
  for (size_t entry = 0; entry < entries_.size(); ++entry) {
    const std::string& text = entries_[entry].text;
    size_t slot = hashOf(text) & 4095;
    while (slots_[slot] != 0) slot = (slot + 1) & 4095;
    slots_[slot] = static_cast<uint16_t>(entry + 1);
    bloom_[bloomBit(text) >> 6] |= 1ULL << (bloomBit(text) & 63);
    longest_ = std::max(longest_, text.size());
  }
}

const WordException* WordExceptions::lookUp(std::string_view text) const {
  for (size_t slot = hashOf(text) & 4095; slots_[slot] != 0; slot = (slot + 1) & 4095) {
    const WordException& entry = entries_[slots_[slot] - 1];
    if (entry.text == text) return &entry;
  }
  return nullptr;
}

}  // namespace anneal::text::clean
