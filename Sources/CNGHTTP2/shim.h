#ifndef MESHD_CNGHTTP2_H
#define MESHD_CNGHTTP2_H
#include <nghttp2/nghttp2.h>
#endif
