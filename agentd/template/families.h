/*
 * The families of filters, tests and lookups: one table a file, listed in filter.c.
 */
#ifndef PROVCTL_TEMPLATE_FAMILIES_H
#define PROVCTL_TEMPLATE_FAMILIES_H

#include "template/filter.h"
#include "template/lookup.h"

extern const struct tfamily family_community, family_data, family_dict, family_hash, family_ip,
    family_logic, family_markup, family_math, family_net, family_path, family_pick, family_random,
    family_regex, family_seq, family_sets, family_test_ansible, family_test_ip,
    family_test_type,
    family_text, family_time, family_unsupported, family_url, family_vault;

extern const struct tlookup lookups_data[], lookups_file[], lookups_loop[], lookups_url[], lookups_var[],
    lookups_unsupported[];

#endif
