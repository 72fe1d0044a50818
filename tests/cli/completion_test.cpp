// t2v completion: what the shells make of it, and the manual page.
#include <regex>
#include <set>

#include "expect.h"

namespace t2v::test {

namespace {

using Words = std::set<std::string>;

bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

// A folder with what t2v completion prints for each, as t2v.bash, t2v.zsh, t2v.fish and t2v.man.
class Printed {
 public:
  Printed() {
    for (const std::string what : {"bash", "zsh", "fish", "man"}) {
      const auto result = run_program({"completion", what});
      expect_done(result);
      EXPECT_EQ(result.err, "");
      write_bytes(folder_ / ("t2v." + what), result.out);
    }
  }
  std::string text(const std::string& what) const { return bytes_of(folder_ / ("t2v." + what)); }

  // What a shell says to a script, both ways; the script ends well.
  std::string say(const std::string& shell, const std::string& script) const {
    write_bytes(folder_ / "script", script);
    const auto command = "cd '" + folder_.path().string() + "' && TERM=dumb timeout 60 " + shell +
                         " >out 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << script << bytes_of(folder_ / "out");
    return bytes_of(folder_ / "out");
  }

  // What bash completes the last word to.
  Words in_bash(const Arguments& words) const {
    std::string script = "set -u\nsource t2v.bash\nCOMP_WORDS=(t2v";
    for (const auto& word : words) script += " '" + word + "'";
    script += ")\nCOMP_CWORD=" + std::to_string(words.size()) +
              "\n_t2v t2v\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    const auto lines = lines_of(say("bash script", script));
    return {lines.begin(), lines.end()};
  }
  Words in_fish(const std::string& line) const {
    Words words;
    for (const auto& each : lines_of(say("fish script", "source t2v.fish\ncomplete -C'" + line + "'\n")))
      words.insert(each.substr(0, each.find('\t')));
    return words;
  }

 private:
  TemporaryFolder folder_;
};

// One for all tests: starting libtorch takes most of their time.
const Printed& printed_once() {
  static const Printed printed;
  return printed;
}

// The flags at the beginning of the lines of a --help.
Words flags_in(const std::string& help) {
  const std::regex flag("-[-a-zA-Z0-9]+");
  Words flags;
  for (const auto& line : lines_of(help)) {
    if (!line.starts_with("  -")) continue;
    const auto names = line.substr(2, line.find(' ', 2) - 2);
    for (std::sregex_iterator found(names.begin(), names.end(), flag), end; found != end; ++found)
      flags.insert(found->str());
  }
  return flags;
}

struct Help {
  Arguments command;  // {"eval", "world"}; empty for the program itself
  std::string text;
};

// The --help of every command, by the lists of subcommands in it.
std::vector<Help> all_helps(const Arguments& command = {}) {
  auto arguments = command;
  arguments.push_back("--help");
  std::vector<Help> all = {{command, run_program(arguments).out}};
  bool in_list = false;
  for (const auto& line : lines_of(all.front().text)) {
    if (line.empty()) in_list = false;
    if (in_list) {
      arguments.back() = line.substr(2, line.find(' ', 2) - 2);
      for (const auto& below : all_helps(arguments)) all.push_back(below);
    }
    if (line == "Subcommands:") in_list = true;
  }
  return all;
}

std::string joined(const Arguments& words, const std::string& between) {
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : between) + word;
  return all;
}

// The part of `text` from `begin` to the next `end`.
std::string part(const std::string& text, const std::string& begin, const std::string& end) {
  const auto from = text.find(begin);
  if (from == std::string::npos) return "";
  const auto to = text.find(end, from + begin.size());
  return text.substr(from, to == std::string::npos ? to : to - from);
}

bool has_word(const std::string& text, const std::string& word) {
  return std::regex_search(text, std::regex("(^|[^-a-z])" + word + "($|[^-a-z])"));
}

std::string replaced(const std::string& text, const std::string& from, const std::string& to) {
  return std::regex_replace(text, std::regex(from), to);
}

}  // namespace

TEST(CliCompletion, KnowsEveryFlagOfEveryHelp) {
  const auto& printed = printed_once();
  const bool fish = is_installed("fish");
  const auto zsh = printed.text("zsh");
  const auto man = replaced(printed.text("man"), "\\\\-", "-");
  const auto helps = all_helps();
  EXPECT_GE(helps.size(), 10U);
  for (const auto& [command, help] : helps) {
    const auto path = joined(command, " ");
    const auto flags = flags_in(help);
    EXPECT_TRUE(flags.contains("--help")) << path;
    auto words = command;
    words.push_back("-");
    EXPECT_EQ(printed.in_bash(words), flags) << path;
    const auto function = part(zsh, "_t2v" + (command.empty() ? "" : "_" + joined(command, "_")) + "() {",
                               "\n}\n");
    const auto section = part(man, command.empty() ? ".SH DESCRIPTION" : ".SS t2v " + path + " ", "\n.S");
    Words in_fish;
    if (fish) {
      const auto line = "t2v " + path + (command.empty() ? "" : " ");
      for (const std::string begin : {"-", "--"}) in_fish.merge(printed.in_fish(line + begin));
      EXPECT_EQ(in_fish, flags) << path;
    }
    for (const auto& flag : flags) {
      EXPECT_TRUE(has_word(function, flag)) << flag << " of " << path << " is not in: " << function;
      EXPECT_TRUE(has_word(section, flag)) << flag << " of " << path << " is not in: " << section;
    }
  }
}

TEST(CliCompletion, CompletesSubcommandsValuesModelsAndFiles) {
  const auto& printed = printed_once();
  EXPECT_TRUE(printed.in_bash({"gen"}) == Words{"generate"});
  EXPECT_TRUE(printed.in_bash({""}).contains("completion"));
  EXPECT_EQ(printed.in_bash({"eval", ""}), (Words{"world", "world2"}));
  EXPECT_EQ(printed.in_bash({"completion", ""}), (Words{"bash", "fish", "man", "zsh"}));
  EXPECT_EQ(printed.in_bash({"generate", "--scheduler", "d"}), (Words{"ddim", "ddpm", "dpm++", "dpm++-sde"}));
  EXPECT_EQ(printed.in_bash({"generate", "--scheduler", "=", "d"}),
            (Words{"ddim", "ddpm", "dpm++", "dpm++-sde"}));
  EXPECT_EQ(printed.in_bash({"generate", "--scheduler", "="}),
            (Words{"cogvideox-dpm", "ddim", "ddpm", "dpm++", "dpm++-sde", "euler", "flow-euler", "unipc"}));
  EXPECT_EQ(printed.in_bash({"decode", "--resize-filter", ""}), (Words{"lanczos", "nearest"}));
  EXPECT_EQ(printed.in_bash({"generate", "-m", "world-1"}), Words{"world-128"});
  EXPECT_EQ(printed.in_bash({"info", "t2v.f"}), Words{"t2v.fish"});
  EXPECT_EQ(printed.in_bash({"generate", "--config", "t2v.f"}), Words{"t2v.fish"});
  // A prompt is no subcommand, and a number is nothing that is known.
  EXPECT_EQ(printed.in_bash({"generate", "-p", "eval", "--sid"}), Words{"--sidecar"});
  EXPECT_EQ(printed.in_bash({"generate", "--steps", ""}), Words{""});
}

TEST(CliCompletion, OffersTheValuesThatAreAccepted) {
  const auto& printed = printed_once();
  const TemporaryFolder folder;
  write_bytes(folder / "prompts.txt", "a red circle\n");
  const Arguments generate = {"generate", "a red circle", "--dry-run"};
  const Arguments batch = {"batch", "prompts.txt", "--out-dir", "out", "--dry-run"};
  const std::vector<std::pair<Arguments, std::string>> flags = {
      {generate, "--scheduler"},    {generate, "--dtype"}, {generate, "--resize-filter"},
      {generate, "--progress"},     {batch, "--format"},   {batch, "--redo"},
      {{"eval", "world"}, "--side"}};
  for (const auto& [command, flag] : flags) {
    const auto offered = printed.in_bash(
        {command.front(), command.front() == "eval" ? command[1] : "", flag, ""});
    auto arguments = command;
    arguments.insert(arguments.end(), {flag, "nonsense"});
    const auto refused = run_program(arguments, {}, folder.path());
    expect_refused(refused, 2, {"nonsense"});
    // "should be a, b or c, found", "The schedulers are a, b, c"
    std::smatch list;
    ASSERT_TRUE(std::regex_search(refused.err, list,
                                  std::regex("(?:should be|schedulers are) ([^\n]*?)(?:, found|\n|$)")))
        << refused.err;
    Words accepted;
    const auto text = list[1].str();
    const std::regex word("[a-z0-9+-]+");
    for (std::sregex_iterator found(text.begin(), text.end(), word), end; found != end; ++found)
      if (found->str() != "or") accepted.insert(found->str());
    EXPECT_EQ(offered, accepted) << flag << ": " << refused.err;
  }
}

TEST(CliCompletion, ScriptsAndManualPageHaveNoMistakes) {
  const auto& printed = printed_once();
  EXPECT_EQ(printed.say("bash -n t2v.bash", ""), "");
  if (is_installed("zsh")) {
    EXPECT_EQ(printed.say("zsh -n t2v.zsh", ""), "");
  }
  if (is_installed("fish")) {
    EXPECT_EQ(printed.say("fish -n t2v.fish", ""), "");
  }
  if (is_installed("groff")) {
    EXPECT_EQ(printed.say("groff -man -ww -Tutf8 -z t2v.man", ""), "");
    const auto page = printed.say("groff -man -P-c -P-b -P-u -Tascii t2v.man", "");
    EXPECT_NE(page.find("t2v - text to video"), std::string::npos) << page;
    EXPECT_NE(page.find("t2v generate -p \"...\" -o - | ffplay -"), std::string::npos) << page;
  }
  if (is_installed("mandoc")) {
    EXPECT_EQ(printed.say("mandoc -T lint -W error t2v.man", ""), "");
  }
  expect_refused(run_program({"completion", "tcsh"}), 2, {"tcsh", "bash"});
  expect_refused(run_program({"completion"}), 2, {"what"});
}

TEST(CliCompletion, WorksInFish) {
  if (!is_installed("fish")) GTEST_SKIP() << "fish is not installed";
  const auto& printed = printed_once();
  EXPECT_TRUE(printed.in_fish("t2v ").contains("generate"));
  EXPECT_EQ(printed.in_fish("t2v generate --scheduler d"), (Words{"ddim", "ddpm", "dpm++", "dpm++-sde"}));
  EXPECT_EQ(printed.in_fish("t2v generate -m world-1"), Words{"world-128"});
  EXPECT_EQ(printed.in_fish("t2v generate -p eval --sid"), Words{"--sidecar"});
  EXPECT_EQ(printed.in_fish("t2v info t2v.f"), Words{"t2v.fish"});
  EXPECT_EQ(printed.in_fish("t2v generate --steps "), Words{});
}

TEST(CliCompletion, WorksInZsh) {
  if (!is_installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  const auto& printed = printed_once();
  // Completion needs a terminal and an interactive shell behind it. A line that never comes is the time
  // limit's.
  printed.say("zsh -f script", R"(zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'autoload -Uz compinit; compinit -u -D; stty cols 200 rows 200'
zpty -w z 'source ./t2v.zsh; bindkey "^I" complete-word; PS1="READ""Y> "'
zpty -r -m z line '*READY> *'
try() {
  zpty -w -n z "$1"$'\t\t'
  zpty -r -m z line "*$2*"
  zpty -w -n z $'\C-u echo DO""NE\n'
  zpty -r -m z line '*DONE*READY> *'
}
try 't2v eval world --side ' 'held-out*training'
try 't2v compl' 'completion'
try 't2v generate --device c' 'cpu*cuda'
try 't2v generate --fram' '--frames*Length in frames'
zpty -d z
)");
}

}  // namespace t2v::test
