# Writes OUTPUT: a C++ file with the text of each kernel file of KERNELS (names separated by |, in FOLDER) as a string literal.
string(REPLACE "|" ";" names "${KERNELS}")
set(rows "")
foreach(name IN LISTS names)
  file(READ "${FOLDER}/${name}" text)
  string(APPEND rows "    {\"${name}\", R\"attest_kernel(${text})attest_kernel\"},\n")
endforeach()
file(WRITE "${OUTPUT}.new"
"// Generated at build from the files of jit/kernels.
#include \"jit/kernel_source.h\"

namespace attest {

const std::vector<KernelFile>& embedded_kernel_files() {
  static const std::vector<KernelFile> files = {
${rows}  };
  return files;
}

}  // namespace attest
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
