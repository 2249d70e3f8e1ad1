# Writes OUTPUT, a C++ file that defines `const std::vector<KernelFile>& NAMESPACE::FUNCTION()`, declared in HEADER: name and text of
# each of the files NAMES (separated by |) in FOLDER.
string(REPLACE "|" ";" names "${NAMES}")
set(rows "")
foreach(name IN LISTS names)
  file(READ "${FOLDER}/${name}" text)
  string(APPEND rows "      {\"${name}\", R\"attest_text(${text})attest_text\"},\n")
endforeach()
file(WRITE "${OUTPUT}.new"
"// Generated at build from the files of a folder of device code.
#include \"${HEADER}\"

namespace ${NAMESPACE} {

const std::vector<KernelFile>& ${FUNCTION}() {
  static const std::vector<KernelFile> files = {
${rows}  };
  return files;
}

}  // namespace ${NAMESPACE}
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
