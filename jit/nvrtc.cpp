// Declares the part of NVRTC's C interface that is used (unchanged since CUDA 11.1) and calls it.
#include "jit/nvrtc.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "jit/dynamic_library.h"
#include "jit/errors.h"

namespace attest {
namespace {

using Program = struct NvrtcProgram*;
enum Result : int { kSuccess = 0, kCompilation = 6 };

// The functions, with NVRTC's own names.
struct Functions {
  const char* (*nvrtcGetErrorString)(Result);
  Result (*nvrtcVersion)(int* major, int* minor);
  Result (*nvrtcGetNumSupportedArchs)(int* count);
  Result (*nvrtcGetSupportedArchs)(int* architectures);
  Result (*nvrtcCreateProgram)(Program*, const char* source, const char* name, int headers,
                               const char* const* texts, const char* const* include_names);
  Result (*nvrtcDestroyProgram)(Program*);
  Result (*nvrtcCompileProgram)(Program, int options, const char* const* texts);
  Result (*nvrtcGetPTXSize)(Program, std::size_t*);
  Result (*nvrtcGetPTX)(Program, char*);
  Result (*nvrtcGetCUBINSize)(Program, std::size_t*);
  Result (*nvrtcGetCUBIN)(Program, char*);
  Result (*nvrtcGetProgramLogSize)(Program, std::size_t*);
  Result (*nvrtcGetProgramLog)(Program, char*);
  Result (*nvrtcAddNameExpression)(Program, const char*);
  Result (*nvrtcGetLoweredName)(Program, const char*, const char**);
};

// The first function that the library lacks, or null.
const char* bind(const DynamicLibrary& library, Functions& f) {
#define ATTEST_FIND(name) \
  if (!library.find(#name, f.name)) return #name
  ATTEST_FIND(nvrtcGetErrorString);
  ATTEST_FIND(nvrtcVersion);
  ATTEST_FIND(nvrtcGetNumSupportedArchs);
  ATTEST_FIND(nvrtcGetSupportedArchs);
  ATTEST_FIND(nvrtcCreateProgram);
  ATTEST_FIND(nvrtcDestroyProgram);
  ATTEST_FIND(nvrtcCompileProgram);
  ATTEST_FIND(nvrtcGetPTXSize);
  ATTEST_FIND(nvrtcGetPTX);
  ATTEST_FIND(nvrtcGetCUBINSize);
  ATTEST_FIND(nvrtcGetCUBIN);
  ATTEST_FIND(nvrtcGetProgramLogSize);
  ATTEST_FIND(nvrtcGetProgramLog);
  ATTEST_FIND(nvrtcAddNameExpression);
  ATTEST_FIND(nvrtcGetLoweredName);
#undef ATTEST_FIND
  return nullptr;
}

class LoadedNvrtc : public Nvrtc {
 public:
  LoadedNvrtc(std::unique_ptr<DynamicLibrary> library, const Functions& functions)
      : library_(std::move(library)), f_(functions) {
    int major = 0, minor = 0;
    check(f_.nvrtcVersion(&major, &minor), "version");
    version_ = std::to_string(major) + "." + std::to_string(minor);
    // NVRTC opens its built-in headers by soname when it compiles, and has no run path: outside the loader's
    // folders it would miss the file beside itself. One that is open already is found.
    const std::filesystem::path folder = std::filesystem::path(library_->file()).parent_path();
    builtins_ = DynamicLibrary::open((folder / ("libnvrtc-builtins.so." + version_)).string());
  }

  std::string version() const override { return version_; }
  std::string file() const override { return library_->file(); }

  std::vector<int> architectures() const override {
    int count = 0;
    check(f_.nvrtcGetNumSupportedArchs(&count), "supported architectures");
    std::vector<int> result(static_cast<std::size_t>(count));
    check(f_.nvrtcGetSupportedArchs(result.data()), "supported architectures");
    return result;
  }

  NvrtcOutput compile(const NvrtcInput& input) const override {
    std::vector<const char*> texts, names, options;
    for (const auto& [name, text] : input.headers) {
      names.push_back(name.c_str());
      texts.push_back(text.c_str());
    }
    for (const std::string& option : input.options) options.push_back(option.c_str());

    Program program = nullptr;
    check(f_.nvrtcCreateProgram(&program, input.source.c_str(), input.name.c_str(),
                                static_cast<int>(texts.size()), texts.data(), names.data()),
          "create program");
    const auto destroy = [this](Program p) { f_.nvrtcDestroyProgram(&p); };
    const std::unique_ptr<NvrtcProgram, decltype(destroy)> guard(program, destroy);

    check(f_.nvrtcAddNameExpression(program, input.entry.c_str()), "add name expression");
    const Result compiled = f_.nvrtcCompileProgram(program, static_cast<int>(options.size()), options.data());
    NvrtcOutput output;
    output.log = text(program, f_.nvrtcGetProgramLogSize, f_.nvrtcGetProgramLog, "log");
    output.compiled = compiled == kSuccess;
    if (!output.compiled) {
      // Anything but an error in the source (a bad option, say) also lands here, with an empty log.
      if (output.log.empty() || compiled != kCompilation) output.log += f_.nvrtcGetErrorString(compiled);
      return output;
    }
    output.ptx = text(program, f_.nvrtcGetPTXSize, f_.nvrtcGetPTX, "PTX");
    if (input.cubin) {
      std::size_t bytes = 0;
      check(f_.nvrtcGetCUBINSize(program, &bytes), "cubin size");
      output.cubin.resize(bytes);
      check(f_.nvrtcGetCUBIN(program, output.cubin.data()), "cubin");
    }
    const char* lowered = nullptr;
    check(f_.nvrtcGetLoweredName(program, input.entry.c_str(), &lowered), "lowered name");
    output.lowered_entry = lowered;
    return output;
  }

 private:
  void check(Result result, const char* what) const {
    if (result != kSuccess) {
      throw std::runtime_error("NVRTC (" + library_->file() + "): " + what + ": " +
                               f_.nvrtcGetErrorString(result));
    }
  }

  // NVRTC counts a closing NUL, which is not part of the text.
  std::string text(Program program, Result (*size)(Program, std::size_t*), Result (*get)(Program, char*),
                   const char* what) const {
    std::size_t bytes = 0;
    check(size(program, &bytes), what);
    std::string result(bytes, '\0');
    if (bytes > 0) check(get(program, result.data()), what);
    while (!result.empty() && result.back() == '\0') result.pop_back();
    return result;
  }

  std::unique_ptr<DynamicLibrary> library_;
  std::unique_ptr<DynamicLibrary> builtins_;  // null: the loader finds it, or nobody does
  Functions f_;
  std::string version_;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::vector<std::string> Nvrtc::default_candidates() {
  if (const std::string chosen = environment("ATTEST_NVRTC"); !chosen.empty()) return {chosen};
  std::vector<std::string> folders;
  for (const char* inside : {"/nvidia/cu13/lib", "/nvidia/cuda_nvrtc/lib"}) {
    folders.push_back(std::string(ATTEST_DEPS_DIR) + inside);
  }
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const std::string home = environment(variable); !home.empty()) folders.push_back(home + "/lib64");
  }
  folders.push_back("/usr/local/cuda/lib64");
  std::vector<std::string> candidates;
  for (const std::string& folder : folders) {
    for (const char* soname : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"}) {
      candidates.push_back(folder + "/" + soname);
    }
  }
  for (const char* soname : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"}) candidates.push_back(soname);
  return candidates;
}

std::shared_ptr<const Nvrtc> Nvrtc::open(const std::vector<std::string>& candidates) {
  std::string tried, refused;
  for (const std::string& candidate : candidates) {
    tried += (tried.empty() ? "" : ", ") + candidate;
    const bool path = candidate.find('/') != std::string::npos;
    if (path && !std::filesystem::exists(candidate)) continue;
    std::string why;
    std::unique_ptr<DynamicLibrary> library = DynamicLibrary::open(candidate, &why);
    if (!library) {
      if (path) refused += "; " + why;
      continue;
    }
    Functions functions{};
    if (const char* missing = bind(*library, functions)) {
      refused += "; " + candidate + " has no function " + missing;
      continue;
    }
    return std::make_shared<LoadedNvrtc>(std::move(library), functions);
  }
  throw NotAvailable(
      "NVRTC (NVIDIA's run-time compiler, libnvrtc.so.13 or .12) was not found: tried " + tried + refused +
      "; install a CUDA toolkit or the package nvidia-cuda-nvrtc, or set ATTEST_NVRTC to the library's file");
}

}  // namespace attest
