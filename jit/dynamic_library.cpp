// Opens shared libraries with dlopen.
#include "jit/dynamic_library.h"

#include <dlfcn.h>
#include <link.h>

namespace attest {

std::unique_ptr<DynamicLibrary> DynamicLibrary::open(const std::string& name, std::string* why) {
  // RTLD_NODELETE: NVRTC carries a C++ runtime whose pool (72,704 bytes) leaks each time it is unloaded.
  void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) {
    if (why) *why = dlerror();
    return nullptr;
  }
  link_map* map = nullptr;
  const bool named = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name && *map->l_name;
  return std::unique_ptr<DynamicLibrary>(new DynamicLibrary(handle, named ? map->l_name : name));
}

DynamicLibrary::~DynamicLibrary() { dlclose(handle_); }

void* DynamicLibrary::address(const char* symbol) const { return dlsym(handle_, symbol); }

}  // namespace attest
