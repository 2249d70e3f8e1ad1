// A shared library opened at run time.
#pragma once

#include <memory>
#include <string>

namespace attest {

class DynamicLibrary {
 public:
  // name: a path, or a soname that the loader searches. Null when it cannot be opened; *why (if given) says
  // why.
  static std::unique_ptr<DynamicLibrary> open(const std::string& name, std::string* why = nullptr);
  ~DynamicLibrary();
  DynamicLibrary(const DynamicLibrary&) = delete;
  DynamicLibrary& operator=(const DynamicLibrary&) = delete;

  // Sets `function` to the symbol; false (and null) when the library lacks it.
  template <class Function>
  bool find(const char* symbol, Function*& function) const {
    function = reinterpret_cast<Function*>(address(symbol));
    return function != nullptr;
  }
  // The file that was opened, as the loader names it.
  const std::string& file() const { return file_; }

 private:
  DynamicLibrary(void* handle, std::string file) : handle_(handle), file_(std::move(file)) {}
  void* address(const char* symbol) const;

  void* handle_;
  std::string file_;
};

}  // namespace attest
