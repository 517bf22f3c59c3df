// Enough of gloo's names for libtorch's ProcessGroupGloo.hpp to compile: the library itself is inside libtorch, its
// headers are not in the wheel. Nothing here is ever constructed by us.
#pragma once
