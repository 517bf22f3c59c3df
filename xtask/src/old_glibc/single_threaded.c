/* libstdc++'s headers ask glibc 2.32 and newer whether there is one thread alone, to spare themselves atomic operations. An older one
   does not know: then there may be more. */
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
