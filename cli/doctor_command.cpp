// attest doctor: what of this machine the program can use, one line each, and what to do about the rest.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cli/command.h"
#include "cli/report_file.h"
#include "jit/dynamic_library.h"
#include "jit/errors.h"
#include "jit/executor.h"
#include "jit/kernel_cache.h"
#include "jit/nvrtc.h"

namespace attest::cli {
namespace {

namespace fs = std::filesystem;

struct Finding {
  std::string part;
  bool found = false;
  std::string text;    // what was found, or what is missing
  std::string advice;  // what to do when it is missing
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Where an executable is: in `folders`, then on PATH; empty when nowhere.
std::string find_program(const std::string& name, std::vector<std::string> folders) {
  std::istringstream path(environment("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) folders.push_back(folder);
  for (const std::string& folder : folders) {
    const fs::path file = fs::path(folder) / name;
    if (!folder.empty() && access(file.c_str(), X_OK) == 0 && !fs::is_directory(file)) return file.string();
  }
  return "";
}

Finding nvrtc() {
  try {
    const auto library = Nvrtc::open();
    const std::vector<int> all = library->architectures();
    const auto [least, most] = std::minmax_element(all.begin(), all.end());
    return {"NVRTC", true,
            all.empty() ? fmt::format("{}, {}", library->version(), library->file())
                        : fmt::format("{}, {}, compiles for sm_{} to sm_{}", library->version(),
                                      library->file(), *least, *most),
            ""};
  } catch (const NotAvailable& error) {
    return {"NVRTC", false, error.what(),
            "run ./attest from the project's root, which fetches it, or set ATTEST_NVRTC to a libnvrtc.so"};
  }
}

Finding gpu() {
  try {
    const auto executor = make_executor("cuda");
    const DeviceInfo& device = executor->device();
    return {"GPU", true,
            fmt::format("{}, sm_{}, {} processors, {:.0f} GiB, L2 {:.0f} MiB, driver for CUDA {}",
                        device.name, device.compute_capability, device.processors,
                        static_cast<double>(device.memory_bytes) / 0x1p30,
                        static_cast<double>(device.l2_bytes) / 0x1p20, device.driver),
            ""};
  } catch (const std::runtime_error& error) {  // no driver, no GPU, or one that does not answer
    return {"GPU", false, error.what(), "none is needed: kernels run on the virtual machine"};
  }
}

Finding nccl() {
  for (const char* name : {"libnccl.so.2", "libnccl.so"}) {
    const auto library = DynamicLibrary::open(name);
    int (*version)(int*) = nullptr;
    int number = 0;
    if (library && library->find("ncclGetVersion", version) && version(&number) == 0) {
      return {"NCCL", true,
              fmt::format("{}.{}.{}, {}", number / 10000, number / 100 % 100, number % 100, library->file()),
              ""};
    }
  }
  return {"NCCL", false, "libnccl.so.2 was not found",
          "none is needed: ranks run one after the other in one process"};
}

Finding mpi() {
  const std::string launcher = find_program("mpirun", {});
  if (!launcher.empty()) return {"MPI", true, launcher, ""};
  return {"MPI", false, "mpirun was not found",
          "none is needed: ranks run one after the other in one process"};
}

Finding ptxas() {
  std::vector<std::string> folders = {"/usr/local/cuda/bin"};
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"}) {
    if (const std::string home = environment(variable); !home.empty())
      folders.insert(folders.begin(), home + "/bin");
  }
  const std::string file = find_program("ptxas", folders);
  if (!file.empty()) return {"ptxas", true, file, ""};
  return {"ptxas", false, "ptxas was not found",
          "none is needed: tests that let it judge PTX are skipped; it is part of the CUDA toolkit"};
}

Finding cache() {
  const fs::path folder = KernelCache::default_folder();
  if (folder.empty()) {
    return {"kernel cache", false, "no folder: neither ATTEST_CACHE nor XDG_CACHE_HOME nor HOME is set",
            "set ATTEST_CACHE, or kernels are compiled in every run"};
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || access(folder.c_str(), W_OK) != 0) {
    return {"kernel cache", false, fmt::format("{} cannot be written", folder.string()),
            "set ATTEST_CACHE to a folder that can be written"};
  }
  std::uintmax_t bytes = 0;
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!entry.is_regular_file(error)) continue;
    bytes += entry.file_size(error);
    ++files;
  }
  return {"kernel cache", true,
          fmt::format("{}, {} files, {:.1f} MB, {:.1f} GB free", folder.string(), files,
                      static_cast<double>(bytes) / 1e6,
                      static_cast<double>(fs::space(folder, error).available) / 1e9),
          ""};
}

ExitStatus examine(const Console& console, const std::string& json_path) {
  std::optional<ReportFile> json_file;
  if (!json_path.empty()) json_file.emplace(json_path);
  const Finding processors = {"processors", true, std::to_string(std::thread::hardware_concurrency()), ""};
  const std::vector<Finding> findings = {processors, nvrtc(), gpu(), nccl(), mpi(), ptxas(), cache()};

  TextTable table({"part", "", "what was found"});
  table.align(1, TextTable::Align::left);
  table.align(2, TextTable::Align::left);
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    table.add({{finding.part, Colour::strong},
               {finding.found ? "found" : "missing", finding.found ? Colour::good : Colour::doubtful},
               {finding.found ? finding.text : finding.text + " - " + finding.advice}});
    report.push_back({{"part", finding.part},
                      {"found", finding.found},
                      {"text", finding.text},
                      {"advice", finding.advice}});
  }
  table.print(console);
  if (json_file) json_file->publish(report.dump(2) + "\n");
  const bool can_compile = findings[1].found;
  console.out << (can_compile
                      ? "\n  Ready: kernels can be compiled and verified here.\n"
                      : "\n  Without NVRTC no kernel can be compiled; the golden checks still run.\n");
  return can_compile ? ExitStatus::holds : ExitStatus::unavailable;
}

}  // namespace

void add_doctor_command(CLI::App& program, Action& chosen) {
  auto json_path = std::make_shared<std::string>();
  CLI::App* command =
      program.add_subcommand("doctor", "What of this machine can be used; exit 3 without NVRTC");
  command->add_option("--json", *json_path, "Write the findings to this file");
  command->callback([&chosen, json_path] {
    chosen = [json_path](const Console& console) { return examine(console, *json_path); };
  });
}

}  // namespace attest::cli
