#include "base/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

namespace base {
namespace {

class CliOption final : public Option {
 public:
  explicit CliOption(CLI::Option* option) : option_(option) {}
  Option& Required() override {
    option_->required();
    return *this;
  }
  Option& OneOf(std::vector<std::string> values) override {
    option_->check(CLI::IsMember(std::move(values)));
    return *this;
  }
  Option& Environment(const std::string& name) override {
    option_->envname(name);
    return *this;
  }

 private:
  CLI::Option* option_;
};

class CliCommand final : public Command {
 public:
  explicit CliCommand(CLI::App* app) : app_(app) {}

  Option& Text(const std::string& name, std::string& value, const std::string& help) override {
    return Keep(app_->add_option(name, value, help)->capture_default_str());
  }
  Option& Texts(const std::string& name, std::vector<std::string>& values,
                const std::string& help) override {
    return Keep(app_->add_option(name, values, help));
  }
  Option& Int(const std::string& name, std::int64_t& value, const std::string& help) override {
    return Keep(app_->add_option(name, value, help)->capture_default_str());
  }
  Option& Number(const std::string& name, double& value, const std::string& help) override {
    return Keep(app_->add_option(name, value, help)->capture_default_str());
  }
  Option& Flag(const std::string& name, bool& value, const std::string& help) override {
    return Keep(app_->add_flag(name, value, help));
  }
  Command& Add(const std::string& name, const std::string& about) override {
    app_->require_subcommand(1);
    commands_.push_back(std::make_unique<CliCommand>(app_->add_subcommand(name, about)));
    return *commands_.back();
  }
  void Action(std::function<int()> action) override { action_ = std::move(action); }

  // The action of the verb that was given, or nullptr.
  const std::function<int()>* Chosen() const {
    if (!app_->parsed()) return nullptr;
    for (const auto& command : commands_) {
      if (const auto* chosen = command->Chosen()) return chosen;
    }
    return action_ ? &action_ : nullptr;
  }

 private:
  Option& Keep(CLI::Option* option) {
    options_.push_back(std::make_unique<CliOption>(option));
    return *options_.back();
  }

  CLI::App* app_;
  std::vector<std::unique_ptr<CliOption>> options_;
  std::vector<std::unique_ptr<CliCommand>> commands_;
  std::function<int()> action_;
};

// The first word that should be a verb and is none; empty: there is none.
std::string UnknownVerb(const CLI::App* app, int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto verbs = app->get_subcommands([](const CLI::App*) { return true; });
    if (verbs.empty() || word.empty() || word.front() == '-') return {};
    const auto verb =
        std::ranges::find(verbs, word, [](const CLI::App* one) { return one->get_name(); });
    if (verb == verbs.end()) return word;
    app = *verb;
  }
  return {};
}

// What was quoted from a file may hold anything; it must neither end the line nor cut it off.
std::string Printable(const std::string& message) {
  std::string out;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
      constexpr char kDigits[] = "0123456789abcdef";
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

struct CommandLine::Impl {
  Impl(const std::string& program_name, const std::string& about)
      : program(program_name), app(about, program_name), root(&app) {}
  std::string program;
  CLI::App app;
  CliCommand root;
};

CommandLine::CommandLine(const std::string& program, const std::string& about,
                         const std::string& version)
    : impl_(std::make_unique<Impl>(program, about)) {
  impl_->app.set_version_flag("--version", program + " " + version);
}

CommandLine::~CommandLine() = default;

Command& CommandLine::Add(const std::string& name, const std::string& about) {
  return impl_->root.Add(name, about);
}

int CommandLine::Run(int argc, const char* const* argv) {
  try {
    impl_->app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return impl_->app.exit(success);
  } catch (const CLI::ParseError& error) {
    const std::string unknown = UnknownVerb(&impl_->app, argc, argv);
    const std::string said = unknown.empty() ? error.what() : "no verb \"" + unknown + "\"";
    std::fprintf(stderr, "%s: %s (try --help)\n", impl_->program.c_str(), Printable(said).c_str());
    return kExitWrongUse;
  }
  const auto* action = impl_->root.Chosen();
  return action == nullptr ? kExitWrongUse : (*action)();
}

int Fail(const std::string& program, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), Printable(error.message).c_str());
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kPermissionDenied:
      return kExitWrongUse;
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:
      return kExitNotSo;
    case ErrorCode::kUnavailable:
    case ErrorCode::kExhausted:
    case ErrorCode::kInternal:
      return kExitEnvironment;
  }
  return kExitEnvironment;
}

}  // namespace base
