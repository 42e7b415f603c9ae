#include "server/net/address.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_digits_are_addresses_and_names_are_not(void **state)
{
    struct net_address a;
    assert_true(net_address_parse("127.0.0.1", 80, &a));
    assert_int_equal(a.storage.ss_family, AF_INET);
    assert_int_equal(ntohs(((struct sockaddr_in *)&a.storage)->sin_port), 80);
    assert_true(net_address_parse("::1", 81, &a));
    assert_int_equal(a.storage.ss_family, AF_INET6);
    assert_int_equal(ntohs(((struct sockaddr_in6 *)&a.storage)->sin6_port), 81);
    assert_false(net_address_parse("localhost", 80, &a));
    assert_false(net_address_parse("", 80, &a));
    assert_false(net_address_parse("1.2.3.4.5", 80, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits_are_addresses_and_names_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
