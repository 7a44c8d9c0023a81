#include "search/agents/controller_class.h"
const struct controller_class controller_qmix = {0};
