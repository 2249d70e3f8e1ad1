// The kernel cache under everything that happens to folders: damage, many processes, no permission, no room.
#include "jit/kernel_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "jit/errors.h"
#include "jit/kernel_file.h"

namespace attest {
namespace {

// A compiler that needs no NVRTC and counts its calls: the cache is what is tested.
class FakeNvrtc : public Nvrtc {
 public:
  std::string version() const override { return "0.0"; }
  std::string file() const override { return "fake"; }
  std::vector<int> architectures() const override { return {90}; }
  NvrtcOutput compile(const NvrtcInput& input) const override {
    ++calls;
    if (input.entry.find("merge") != std::string::npos && refuse_merge) return {false, "refused", "", "", ""};
    return {true, "", "ptx of " + input.entry + std::string(100'000, '.'), "", "entry"};
  }
  mutable std::atomic<int> calls = 0;
  bool refuse_merge = false;
};

KernelSpec some_spec(int key_dim = 16) {
  HeadConfig heads = parse_head_config("grouped-h4-g2-k16-v24-bf16");
  heads.key_dim = key_dim;
  return decode_kernel(heads, KernelSource::embedded(), "compute_90");
}

class KernelCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "attest-cache-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
    std::filesystem::remove_all(folder_);
  }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) all.push_back(entry.path());
    return all;
  }
  std::shared_ptr<FakeNvrtc> fake_ = std::make_shared<FakeNvrtc>();
  std::filesystem::path folder_;
};

std::string read(const std::filesystem::path& path) { return read_kernel_file(path).value_or("unreadable"); }

// Runs `child` in a forked process; its result is the exit status.
pid_t start(const std::function<int()>& child) {
  const pid_t process = fork();
  if (process == 0) _exit(child());
  return process;
}
int finish(pid_t process) {
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(KernelCacheTest, CompilesOnceAndThenServesFromMemoryAndFromTheFolder) {
  KernelCache first(folder_, fake_);
  const CompiledKernel& kernel = first.get(some_spec());
  EXPECT_EQ(&first.get(some_spec()), &kernel);
  EXPECT_EQ(fake_->calls, 1);

  KernelCache second(folder_, fake_);
  const CompiledKernel& loaded = second.get(some_spec());
  EXPECT_EQ(fake_->calls, 1);
  EXPECT_EQ(second.counts().from_folder, 1);
  EXPECT_EQ(loaded.ptx, kernel.ptx);
  EXPECT_EQ(loaded.entry, kernel.entry);
  EXPECT_EQ(loaded.name, kernel.name);
}

TEST_F(KernelCacheTest, WithoutAFolderKeepsKernelsInMemory) {
  KernelCache cache({}, fake_);
  cache.get(some_spec());
  cache.get(some_spec());
  EXPECT_EQ(fake_->calls, 1);
  EXPECT_EQ(cache.notice(), "");
}

TEST_F(KernelCacheTest, EveryDamageOfAFileIsNoticedAndTheFileIsReplaced) {
  const KernelSpec spec = some_spec();
  const std::filesystem::path file = kernel_file(folder_, spec.name, spec.key("0.0"));
  KernelCache(folder_, fake_).get(spec);
  const std::string good = read(file);
  std::vector<std::string> damaged = {"",
                                      "x",
                                      good.substr(0, good.size() - 1),
                                      good.substr(0, good.size() / 2),
                                      good + "x",
                                      std::string(good.size(), '\0')};
  for (std::size_t at = 0; at < good.size(); at += at < 400 ? 1 : 9973) {
    damaged.push_back(good);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 4);
  }
  for (const std::string& bytes : damaged) {
    std::ofstream(file, std::ios::binary) << bytes;
    KernelCache cache(folder_, fake_);
    ASSERT_EQ(cache.get(spec).ptx.substr(0, 7), "ptx of ");
    ASSERT_EQ(cache.counts().damaged, 1);
    ASSERT_EQ(cache.counts().compiled, 1);
    ASSERT_EQ(read(file), good);
  }
}

TEST_F(KernelCacheTest, AFileOfAnotherKeyIsNotBelievedThoughItsChecksumIsRight) {
  const KernelSpec wanted = some_spec(), other = some_spec(32);
  KernelCache(folder_, fake_).get(other);
  std::filesystem::rename(kernel_file(folder_, other.name, other.key("0.0")),
                          kernel_file(folder_, wanted.name, wanted.key("0.0")));
  KernelCache cache(folder_, fake_);
  EXPECT_NE(cache.get(wanted).ptx.find(", 16, 24, 2>"), std::string::npos);
  EXPECT_EQ(cache.counts().damaged, 1);
}

TEST_F(KernelCacheTest, SixteenProcessesAtOnceAllGetWholeKernels) {
  std::vector<pid_t> processes;
  for (int process = 0; process < 16; ++process) {
    processes.push_back(start([&] {
      for (int round = 0; round < 8; ++round) {
        for (int dim = 16; dim <= 64; dim += 16) {
          KernelCache cache(folder_, fake_);
          const KernelSpec spec = some_spec(dim);
          const CompiledKernel& kernel = cache.get(spec);
          if (kernel.ptx != "ptx of " + spec.entry + std::string(100'000, '.') || cache.counts().damaged != 0)
            return 1;
          // Whoever deletes a file under the others' feet only costs them a compilation.
          if (round % 3 == 1) std::filesystem::remove(kernel_file(folder_, spec.name, spec.key("0.0")));
        }
      }
      return 0;
    }));
  }
  for (const pid_t process : processes) EXPECT_EQ(finish(process), 0);
  for (const auto& file : files())
    EXPECT_EQ(file.extension(), ".kernel") << file;  // no temporary file is left
}

TEST_F(KernelCacheTest, KilledInTheMiddleLeavesNothingThatIsBelieved) {
  for (int round = 0; round < 10; ++round) {
    const pid_t process = start([&] {
      for (;;) {
        std::filesystem::remove_all(folder_ / "inner");
        KernelCache(folder_ / "inner", fake_).get(some_spec());
      }
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + 3 * round));
    kill(process, SIGKILL);
    finish(process);
    KernelCache cache(folder_ / "inner", fake_);
    cache.get(some_spec());
    EXPECT_EQ(cache.counts().damaged, 0);
  }
}

TEST_F(KernelCacheTest, ManyThreadsCompileOnce) {
  KernelCache cache(folder_, fake_);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 16; ++thread) threads.emplace_back([&] { cache.get(some_spec()); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fake_->calls, 1);
}

TEST_F(KernelCacheTest, AFailedCompilationIsTriedAgain) {
  KernelCache cache(folder_, fake_);
  const KernelSpec spec =
      merge_kernel(parse_head_config("grouped-h4-g2-k16-v24-bf16"), KernelSource::embedded(), "compute_90");
  fake_->refuse_merge = true;
  EXPECT_THROW(cache.get(spec), CompileError);
  fake_->refuse_merge = false;
  EXPECT_EQ(cache.get(spec).entry, "entry");
  EXPECT_EQ(fake_->calls, 2);
}

TEST_F(KernelCacheTest, AFolderThatMayNotBeWrittenIsReadOnlyAndSaysSo) {
  // The super-user may write everywhere, so a child gives that up first.
  KernelCache(folder_, fake_).get(some_spec());
  std::filesystem::permissions(folder_, std::filesystem::perms(0555));
  const int status = finish(start([&] {
    if (geteuid() == 0 && setuid(65534) != 0) return 2;
    KernelCache cache(folder_, fake_);
    cache.get(some_spec());
    if (cache.counts().from_folder != 1) return 3;
    if (cache.get(some_spec(32)).entry != "entry") return 4;
    return cache.notice().find("compiled kernels are not kept: Permission denied") != std::string::npos ? 0
                                                                                                        : 5;
  }));
  EXPECT_EQ(status, 0);
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(KernelCacheTest, NoRoomIsOneClearErrorAndLeavesNothingBehind) {
  const int status = finish(start([&] {
    std::signal(SIGXFSZ, SIG_IGN);  // writes past the limit then fail with EFBIG
    const rlimit limit = {50'000, 50'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    KernelCache cache(folder_, fake_);
    try {
      cache.get(some_spec());
    } catch (const CacheError& error) {
      const std::string text = error.what();
      return text.find(folder_.string()) != std::string::npos &&
                     text.find("File too large") != std::string::npos &&
                     text.find("ATTEST_CACHE") != std::string::npos && text.find('\n') == std::string::npos
                 ? 0
                 : 1;
    }
    return 2;
  }));
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(files().empty());
}

TEST_F(KernelCacheTest, FullDiskIsOneClearErrorAndLeavesNothingBehind) {
  // /dev/full cannot hold a folder; a small tmpfs needs a mount namespace, which not every machine allows.
  const std::string mount = "mount -t tmpfs -o size=64k tmpfs " + folder_.string() + " 2>/dev/null";
  if (std::system(mount.c_str()) != 0) GTEST_SKIP() << "no permission to mount a small tmpfs";
  EXPECT_THROW(KernelCache(folder_, fake_).get(some_spec()), CacheError);
  EXPECT_TRUE(files().empty());
  ASSERT_EQ(std::system(("umount " + folder_.string()).c_str()), 0);
}

TEST_F(KernelCacheTest, WithoutNvrtcTheErrorIsNotAvailable) {
  setenv("ATTEST_NVRTC", "/nonexistent", 1);
  KernelCache cache(folder_);
  EXPECT_THROW(cache.get(some_spec()), NotAvailable);
  unsetenv("ATTEST_NVRTC");
}

}  // namespace
}  // namespace attest
