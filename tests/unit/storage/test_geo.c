#include "storage/geo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/sys.h"

static double random_between(struct rng *rng, double low, double high)
{
    return low + (high - low) * ((double)rng_below(rng, 1u << 30) / (1u << 30));
}

static struct geo_point random_point(struct rng *rng, double max_lat)
{
    return (struct geo_point){.lon = random_between(rng, -180, 180), .lat = random_between(rng, -max_lat, max_lat)};
}

static void test_a_place_survives_as_a_score(void **state)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 100000; i++) {
        struct geo_point p = random_point(&rng, 85.05112878), q = geo_point_of_score((double)geo_cell_of(p));
        assert_true(geo_is_valid(q));
        assert_true(fabs(p.lon - q.lon) < 0.000003 && fabs(p.lat - q.lat) < 0.0000015);
        assert_true(geo_cell_of(q) == geo_cell_of(p));
        assert_true(geo_distance(p, q) < 0.6);
    }
}

static void test_known_places(void **state)
{
    struct geo_point palermo = {13.361389, 38.115556}, catania = {15.087269, 37.502669}, wikipedia = {-5.6, 42.6};
    char hash[GEO_HASH_CHARS];
    assert_true(geo_cell_of(palermo) == 3479099956230698u);
    assert_true(geo_cell_of(catania) == 3479447370796909u);
    assert_true(fabs(geo_distance(geo_point_of_score(3479099956230698.0), geo_point_of_score(3479447370796909.0)) -
                     166274.1516) < 0.0001);
    geo_format_hash(geo_point_of_score((double)geo_cell_of(wikipedia)), hash);
    assert_memory_equal(hash, "ezs42e44yx0", GEO_HASH_CHARS);
}

static void test_limits(void **state)
{
    assert_true(geo_is_valid((struct geo_point){180, 85.05112878}));
    assert_true(geo_is_valid((struct geo_point){-180, -85.05112878}));
    assert_false(geo_is_valid((struct geo_point){180.0001, 0}));
    assert_false(geo_is_valid((struct geo_point){0, 85.0512}));
    assert_false(geo_is_valid((struct geo_point){NAN, 0}));
    assert_false(geo_is_valid((struct geo_point){0, NAN}));
    assert_false(geo_is_valid((struct geo_point){INFINITY, 0}));
}

/* Members may have any score: ZADD writes into the same sets. */
static void test_any_score_is_a_place(void **state)
{
    static const double scores[] = {0,      -1,   -0.5,   1.5,  4503599627370495.0, 4503599627370496.0,
                                    1e17,   1e19, 1.8e19, 1e20, INFINITY,           -INFINITY,
                                    -1e300, 1e300};
    for (size_t i = 0; i < sizeof(scores) / sizeof(scores[0]); i++)
        assert_true(geo_is_valid(geo_point_of_score(scores[i])));
}

static void test_distances(void **state)
{
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < 20000; i++) {
        struct geo_point a = random_point(&rng, 85), b = random_point(&rng, 85);
        assert_true(geo_distance(a, a) == 0);
        assert_true(fabs(geo_distance(a, b) - geo_distance(b, a)) < 0.001);
        assert_true(geo_distance(a, b) <= 6372797.560856 * M_PI + 1);
        struct geo_point opposite = {.lon = a.lon > 0 ? a.lon - 180 : a.lon + 180, .lat = -a.lat};
        assert_true(fabs(geo_distance(a, opposite) - 6372797.560856 * M_PI) < 1); /* and not NaN */
    }
}

static bool is_covered(const struct geo_ranges *ranges, double score)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (score >= ranges->range[i].min && score < ranges->range[i].max) return true;
    return false;
}

static struct geo_shape random_shape(struct rng *rng)
{
    double size = pow(10, random_between(rng, 0, 6.3));
    struct geo_shape s = {.center = random_point(rng, 85), .unit = 1, .radius = size};
    s.type = rng_below(rng, 2) == 0 ? GEO_CIRCLE : GEO_BOX;
    s.width = size * random_between(rng, 0.1, 2);
    s.height = size * random_between(rng, 0.1, 2);
    geo_shape_prepare(&s);
    return s;
}

/* A place near the center, about as far away as the shape extends. */
static struct geo_point point_near(struct rng *rng, const struct geo_shape *s)
{
    double reach = (s->type == GEO_CIRCLE ? s->radius : fmax(s->width, s->height)) / 111000;
    struct geo_point p = {.lat = s->center.lat + random_between(rng, -reach, reach)};
    p.lon = s->center.lon + random_between(rng, -reach, reach) / cos(s->center.lat * M_PI / 180);
    if (p.lon > 180) p.lon -= 360;
    if (p.lon < -180) p.lon += 360;
    return p;
}

static void test_what_a_shape_holds_is_in_its_ranges(void **state)
{
    struct rng rng;
    size_t held = 0;
    rng_seed(&rng, 3);
    for (int round = 0; round < 20000; round++) {
        struct geo_shape s = random_shape(&rng);
        struct geo_ranges ranges;
        geo_shape_ranges(&s, &ranges);
        assert_in_range(ranges.count, 1, GEO_RANGES_MAX);
        for (int i = 0; i < 10; i++) {
            double distance = -1;
            struct geo_point p = point_near(&rng, &s);
            if (!geo_is_valid(p)) continue;
            double score = (double)geo_cell_of(p);
            if (!geo_shape_holds(&s, geo_point_of_score(score), &distance)) continue;
            held++;
            assert_true(distance >= 0);
            assert_true(is_covered(&ranges, score));
        }
    }
    assert_true(held > 20000);
}

static void test_a_circle_holds_what_is_within_its_radius(void **state)
{
    struct rng rng;
    rng_seed(&rng, 4);
    for (int round = 0; round < 100000; round++) {
        struct geo_shape s = random_shape(&rng);
        s.type = GEO_CIRCLE;
        geo_shape_prepare(&s);
        struct geo_point p = point_near(&rng, &s);
        double distance, real = geo_distance(s.center, p);
        bool holds = geo_shape_holds(&s, p, &distance);
        assert_int_equal(holds, real <= s.radius);
        if (holds) assert_true(distance == real);
    }
}

/* Along its own parallel and along the meridian, for every position. */
static void test_a_box_holds_what_is_within_its_sides(void **state)
{
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < 100000; round++) {
        struct geo_shape s = random_shape(&rng);
        s.type = GEO_BOX;
        s.center.lat = random_between(&rng, -85, 85);
        geo_shape_prepare(&s);
        struct geo_point p = point_near(&rng, &s);
        if (!geo_is_valid(p)) continue;
        struct geo_point across = {.lon = s.center.lon, .lat = p.lat}, along = {.lon = p.lon, .lat = s.center.lat};
        double distance;
        bool inside = geo_distance(p, across) <= s.width / 2 && geo_distance(along, p) <= s.height / 2;
        assert_int_equal(geo_shape_holds(&s, p, &distance), inside);
        if (inside) assert_true(distance == geo_distance(s.center, p));
    }
}

/* Shapes of every size and position yield ranges, and no place twice. */
static void test_extreme_shapes_have_ranges(void **state)
{
    static const double sizes[] = {0, 1e-300, 1, 5e6, 1e7, 2.1e7, 1e9, 1e300, INFINITY};
    static const struct geo_point centers[] = {{0, 0}, {180, 85.05112878}, {-180, -85.05112878}, {179.9, 0}, {0, 81}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) * 5; i++) {
        struct geo_shape s = {.type = GEO_CIRCLE, .center = centers[i % 5], .unit = 1609.34, .radius = sizes[i / 5]};
        struct geo_ranges ranges;
        geo_shape_ranges(&s, &ranges);
        assert_in_range(ranges.count, 1, GEO_RANGES_MAX);
        for (size_t a = 0; a < ranges.count; a++)
            for (size_t b = 0; b < a; b++) assert_true(ranges.range[a].min != ranges.range[b].min);
        s.type = GEO_BOX;
        s.width = s.height = sizes[i / 5];
        geo_shape_ranges(&s, &ranges);
        assert_in_range(ranges.count, 1, GEO_RANGES_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_place_survives_as_a_score),
        cmocka_unit_test(test_known_places),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_any_score_is_a_place),
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_what_a_shape_holds_is_in_its_ranges),
        cmocka_unit_test(test_a_circle_holds_what_is_within_its_radius),
        cmocka_unit_test(test_a_box_holds_what_is_within_its_sides),
        cmocka_unit_test(test_extreme_shapes_have_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
