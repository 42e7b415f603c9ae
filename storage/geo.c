#include "storage/geo.h"

#include <math.h>

enum { STEPS_MAX = 26, LIMIT_LON = 180 };
#define LIMIT_LAT      85.05112878
#define EARTH_RADIUS_M 6372797.560856
#define MERCATOR_MAX_M 20037726.37
#define LON_BITS       0xaaaaaaaaaaaaaaaau
#define LAT_BITS       0x5555555555555555u

static double radians(double degrees)
{
    return degrees * (M_PI / 180.0);
}
static double degrees(double radians)
{
    return radians / (M_PI / 180.0);
}

bool geo_is_valid(struct geo_point p)
{
    return p.lon >= -LIMIT_LON && p.lon <= LIMIT_LON && p.lat >= -LIMIT_LAT && p.lat <= LIMIT_LAT;
}

/* ---- Cells ---- */

struct cell {
    uint64_t bits;
    unsigned steps; /* 0: none */
};

/* The bits of a number, one place apart from each other. */
static uint64_t spread(uint32_t x)
{
    uint64_t v = x;
    v = (v | v << 16) & 0x0000ffff0000ffffu;
    v = (v | v << 8) & 0x00ff00ff00ff00ffu;
    v = (v | v << 4) & 0x0f0f0f0f0f0f0f0fu;
    v = (v | v << 2) & 0x3333333333333333u;
    return (v | v << 1) & LAT_BITS;
}

static uint32_t gather(uint64_t v)
{
    v &= LAT_BITS;
    v = (v | v >> 1) & 0x3333333333333333u;
    v = (v | v >> 2) & 0x0f0f0f0f0f0f0f0fu;
    v = (v | v >> 4) & 0x00ff00ff00ff00ffu;
    v = (v | v >> 8) & 0x0000ffff0000ffffu;
    return (uint32_t)(v | v >> 16);
}

static uint32_t fraction_bits(double value, double limit, unsigned steps)
{
    double offset = (value - -limit) / (limit - -limit);
    return (uint32_t)(offset * (double)((uint64_t)1 << steps));
}

static struct cell cell_at(struct geo_point p, double limit_lat, unsigned steps)
{
    uint32_t lat = fraction_bits(p.lat, limit_lat, steps), lon = fraction_bits(p.lon, LIMIT_LON, steps);
    return (struct cell){.bits = spread(lat) | spread(lon) << 1, .steps = steps};
}

struct area {
    double min_lon, max_lon, min_lat, max_lat;
};

static double edge(uint32_t index, double limit, unsigned steps)
{
    return -limit + (index * 1.0 / (double)((uint64_t)1 << steps)) * (limit - -limit);
}

static struct area area_of(struct cell c)
{
    uint32_t lat = gather(c.bits), lon = gather(c.bits >> 1);
    return (struct area){
        .min_lon = edge(lon, LIMIT_LON, c.steps),
        .max_lon = edge(lon + 1, LIMIT_LON, c.steps),
        .min_lat = edge(lat, LIMIT_LAT, c.steps),
        .max_lat = edge(lat + 1, LIMIT_LAT, c.steps),
    };
}

static double clamp(double value, double limit)
{
    return value > limit ? limit : value < -limit ? -limit : value;
}

uint64_t geo_cell_of(struct geo_point p)
{
    return cell_at(p, LIMIT_LAT, STEPS_MAX).bits;
}

/* As x86 converts a double to an unsigned number, which is what Redis does with scores that are no cells. */
static uint64_t bits_of_score(double score)
{
    const double two_63 = 9223372036854775808.0;
    if (score >= 2 * two_63) return 0;
    if (score >= two_63) return (uint64_t)score;
    return score > -two_63 ? (uint64_t)(int64_t)score : (uint64_t)1 << 63;
}

struct geo_point geo_point_of_score(double score)
{
    struct area a = area_of((struct cell){.bits = bits_of_score(score), .steps = STEPS_MAX});
    return (struct geo_point){.lon = clamp((a.min_lon + a.max_lon) / 2, LIMIT_LON),
                              .lat = clamp((a.min_lat + a.max_lat) / 2, LIMIT_LAT)};
}

void geo_format_hash(struct geo_point p, char out[GEO_HASH_CHARS])
{
    static const char letters[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    uint64_t bits = cell_at(p, 90, STEPS_MAX).bits;
    for (int i = 0; i < 10; i++) out[i] = letters[bits >> (52 - 5 * (i + 1)) & 31];
    out[10] = '0'; /* 52 bits are ten letters; two are left over and not worth the eleventh */
}

/* ---- Distances ---- */

static double lat_distance(double a, double b)
{
    return EARTH_RADIUS_M * fabs(radians(b) - radians(a));
}

double geo_distance(struct geo_point a, struct geo_point b)
{
    double v = sin((radians(b.lon) - radians(a.lon)) / 2);
    if (v == 0.0) return lat_distance(a.lat, b.lat);
    double lat_a = radians(a.lat), lat_b = radians(b.lat), u = sin((lat_b - lat_a) / 2);
    double h = u * u + cos(lat_a) * cos(lat_b) * v * v;
    return 2.0 * EARTH_RADIUS_M * asin(fmin(sqrt(h), 1)); /* rounding takes opposite points beyond one */
}

static bool circle_holds(const struct geo_shape *s, struct geo_point p, double *distance_m)
{
    double radius_m = s->radius * s->unit;
    /* Along the meridian it is no farther: most that are outside are found so. The margin is for rounding. */
    if (lat_distance(s->center.lat, p.lat) > radius_m * 1.000001 + 0.001) return false;
    *distance_m = geo_distance(s->center, p);
    return !(*distance_m > radius_m);
}

static bool box_holds(const struct geo_shape *s, struct geo_point p, double *distance_m)
{
    if (lat_distance(p.lat, s->center.lat) > s->height * s->unit / 2) return false;
    struct geo_point across = {.lon = s->center.lon, .lat = p.lat};
    if (geo_distance(p, across) > s->width * s->unit / 2) return false;
    *distance_m = geo_distance(s->center, p);
    return true;
}

bool geo_shape_holds(const struct geo_shape *s, struct geo_point p, double *distance_m)
{
    return s->type == GEO_CIRCLE ? circle_holds(s, p, distance_m) : box_holds(s, p, distance_m);
}

/* ---- Covering a shape with cells ---- */

static struct area bounds_of(const struct geo_shape *s)
{
    double height_m = s->unit * (s->type == GEO_CIRCLE ? s->radius : s->height / 2);
    double width_m = s->unit * (s->type == GEO_CIRCLE ? s->radius : s->width / 2);
    double lon = s->center.lon, lat = s->center.lat, lat_delta = degrees(height_m / EARTH_RADIUS_M);
    /* Where the meridians are closest: towards the pole of this hemisphere. */
    double narrow = lat < 0 ? lat - lat_delta : lat + lat_delta;
    double lon_delta = degrees(width_m / EARTH_RADIUS_M / cos(radians(narrow)));
    return (struct area){
        .min_lon = lon - lon_delta, .max_lon = lon + lon_delta, .min_lat = lat - lat_delta, .max_lat = lat + lat_delta};
}

/* How small cells may be for one and its neighbours to cover a circle. */
static unsigned steps_for(double range_m, double lat)
{
    int steps = 1;
    if (range_m == 0) return STEPS_MAX;
    for (; range_m < MERCATOR_MAX_M; range_m *= 2) steps++;
    steps -= 2;
    if (fabs(lat) > 66) steps--; /* meridians come closer */
    if (fabs(lat) > 80) steps--;
    return steps < 1 ? 1 : steps > STEPS_MAX ? STEPS_MAX : (unsigned)steps;
}

static double reach_m(const struct geo_shape *s)
{
    double half_width = s->width / 2, half_height = s->height / 2;
    double reach = s->type == GEO_CIRCLE ? s->radius : sqrt(half_width * half_width + half_height * half_height);
    return reach * s->unit;
}

/* The number in the bits of one axis plus or minus one, round the globe. */
static uint64_t move_axis(uint64_t bits, uint64_t axis, unsigned steps, int by)
{
    uint64_t others = ~axis >> (64 - steps * 2), own = bits & axis;
    if (by > 0) own += others + 1; /* carries run through the other axis's bits */
    if (by < 0) own = (own | others) - (others + 1);
    return own & (axis >> (64 - steps * 2));
}

static struct cell neighbour(struct cell c, int east, int north)
{
    uint64_t lon = east == 0 ? c.bits & LON_BITS : move_axis(c.bits, LON_BITS, c.steps, east);
    uint64_t lat = north == 0 ? c.bits & LAT_BITS : move_axis(c.bits, LAT_BITS, c.steps, north);
    return (struct cell){.bits = lon | lat, .steps = c.steps};
}

/* Center first, and in this order. */
static const struct {
    int east, north;
} directions[GEO_RANGES_MAX] = {{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};

/* Bounds that are no numbers (of an infinite radius) count as covered: the cells are as large as they can be. */
static bool covers(struct cell center, const struct area *bounds)
{
    return !(area_of(neighbour(center, 0, 1)).max_lat < bounds->max_lat ||
             area_of(neighbour(center, 0, -1)).min_lat > bounds->min_lat ||
             area_of(neighbour(center, 1, 0)).max_lon < bounds->max_lon ||
             area_of(neighbour(center, -1, 0)).min_lon > bounds->min_lon);
}

/* Whether the shape stays on this side of the center's border. Cells of a single step are never left out: there, east
 * and west are the same. */
static bool is_useless(const struct area *center, const struct area *bounds, unsigned steps, int east, int north)
{
    if (steps < 2) return false;
    return (north < 0 && center->min_lat < bounds->min_lat) || (north > 0 && center->max_lat > bounds->max_lat) ||
           (east < 0 && center->min_lon < bounds->min_lon) || (east > 0 && center->max_lon > bounds->max_lon);
}

static double score_of(uint64_t bits, unsigned steps)
{
    return (double)(bits << (52 - steps * 2));
}

void geo_shape_ranges(const struct geo_shape *s, struct geo_ranges *out)
{
    struct area bounds = bounds_of(s);
    unsigned steps = steps_for(reach_m(s), s->center.lat);
    struct cell center = cell_at(s->center, LIMIT_LAT, steps), last = {0};
    if (steps > 1 && !covers(center, &bounds)) center = cell_at(s->center, LIMIT_LAT, --steps);
    struct area area = area_of(center);
    out->count = 0;
    for (size_t i = 0; i < GEO_RANGES_MAX; i++) {
        int east = directions[i].east, north = directions[i].north;
        struct cell c = neighbour(center, east, north);
        if (is_useless(&area, &bounds, steps, east, north)) continue;
        if (out->count > 1 && c.bits == last.bits) continue; /* large cells meet on the other side of the globe */
        last = c;
        out->range[out->count].min = score_of(c.bits, steps);
        out->range[out->count++].max = score_of(c.bits + 1, steps);
    }
}
