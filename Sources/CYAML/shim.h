#ifndef MESHD_CYAML_H
#define MESHD_CYAML_H
#include <yaml.h>
#endif
