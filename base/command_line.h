// CommandLine: a program's verbs and their options, declared; CLI11 stands behind it.
//
//   CommandLine line("tinylcm", "Runs a model in the field.", "0.1.0");
//   Command& fit = line.Add("fit", "labelled data -> bundle");
//   fit.Text("--out", out, "where the bundle goes").Required();
//   fit.Action([&] { return RunFit(...); });
//   return line.Run(argc, argv);
//
// Exit codes of both programs: 0 done, 1 the thing asked about is not so, 2 wrong use or bad input,
// 3 environment. Help goes to stdout, one line of error to stderr.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace base {

inline constexpr int kExitDone = 0;
inline constexpr int kExitNotSo = 1;
inline constexpr int kExitWrongUse = 2;
inline constexpr int kExitEnvironment = 3;

// Prints "program: message" to stderr and gives the exit code an error stands for.
int Fail(const std::string& program, const Error& error);

// One option; its variable must outlive Run.
class Option {
 public:
  virtual ~Option() = default;
  virtual Option& Required() = 0;
  virtual Option& OneOf(std::vector<std::string> values) = 0;
  virtual Option& Environment(const std::string& name) = 0;
};

class Command {
 public:
  virtual ~Command() = default;
  // `name` is "--long", or a bare word for a positional argument. The variable's value is the
  // default.
  virtual Option& Text(const std::string& name, std::string& value, const std::string& help) = 0;
  virtual Option& Texts(const std::string& name, std::vector<std::string>& values,
                        const std::string& help) = 0;
  virtual Option& Int(const std::string& name, std::int64_t& value, const std::string& help) = 0;
  virtual Option& Number(const std::string& name, double& value, const std::string& help) = 0;
  virtual Option& Flag(const std::string& name, bool& value, const std::string& help) = 0;
  // A verb below this one ("bundle make").
  virtual Command& Add(const std::string& name, const std::string& about) = 0;
  // What the verb does; returns the exit code.
  virtual void Action(std::function<int()> action) = 0;
};

class CommandLine {
 public:
  CommandLine(const std::string& program, const std::string& about, const std::string& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Command& Add(const std::string& name, const std::string& about);
  // Parses and runs the chosen verb's action; answers --help and --version itself.
  int Run(int argc, const char* const* argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace base
