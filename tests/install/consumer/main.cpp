#include <t2v/error.h>

#include <iostream>

int main() {
  try {
    throw t2v::Error(t2v::ErrorKind::output, "no disk");
  } catch (const t2v::Error& error) {
    std::cout << error.what() << ": " << error.exit_code() << "\n";
  }
}
