// Answers one raw picture with a model and LiteRT alone.
//
//   bare_litert LIBRARY MODEL PICTURE [--stay]
//
// PICTURE holds the model's input, byte for byte. Prints a sum over the output's bytes; with --stay
// it then waits until its standard input ends, so that somebody can look at its memory.

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "bench/bare/bare_litert.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "bare_litert LIBRARY MODEL PICTURE [--stay]\n");
    return 2;
  }
  bench::BareLiteRt model(argv[1], argv[2]);
  std::vector<std::uint8_t> picture(model.picture_bytes());
  std::FILE* const file = std::fopen(argv[3], "rb");
  if (file == nullptr || std::fread(picture.data(), 1, picture.size(), file) != picture.size()) {
    std::fprintf(stderr, "bare_litert: %s\n", argv[3]);
    return 2;
  }
  std::fclose(file);
  unsigned sum = 0;
  for (const std::uint8_t byte : model.Run(picture)) sum += byte;
  std::printf("answered: %u\n", sum);
  std::fflush(stdout);
  if (argc > 4 && std::string_view(argv[4]) == "--stay") {
    while (std::getchar() != EOF) {
    }
  }
  return 0;
}
