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
    unsigned steps; /* 0: no cell */
};

/* Inserts a zero bit before each bit of a number. */
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

/* Converts as x86 converts a double to an unsigned number, which is what Redis does with scores that are no cells. */
static uint64_t bits_of_score(double score)
{
    const double two_63 = 9223372036854775808.0;
    if (score >= 2 * two_63) return 0;
    if (score >= two_63) return (uint64_t)score;
    return score > -two_63 ? (uint64_t)(int64_t)score : (uint64_t)1 << 63;
}

static double middle(uint32_t index, double limit)
{
    return clamp((edge(index, limit, STEPS_MAX) + edge(index + 1, limit, STEPS_MAX)) / 2, limit);
}

struct geo_point geo_point_of_score(double score)
{
    uint64_t bits = bits_of_score(score);
    return (struct geo_point){.lon = middle(gather(bits >> 1), LIMIT_LON), .lat = middle(gather(bits), LIMIT_LAT)};
}

void geo_format_hash(struct geo_point p, char out[GEO_HASH_CHARS])
{
    static const char letters[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    uint64_t bits = cell_at(p, 90, STEPS_MAX).bits;
    for (int i = 0; i < 10; i++) out[i] = letters[bits >> (52 - 5 * (i + 1)) & 31];
    out[10] = '0'; /* 52 bits fill ten letters; Redis writes '0' for the eleventh */
}

/* ---- Distances ---- */

static double lat_distance(double a, double b)
{
    return EARTH_RADIUS_M * fabs(radians(b) - radians(a));
}

/* Arc length by the haversine h of the angle. */
static double arc_m(double h)
{
    return 2.0 * EARTH_RADIUS_M * asin(fmin(sqrt(h), 1)); /* rounding may exceed 1 for antipodal points */
}

/* sin_lon: the sine of half the difference in longitude. */
static double distance_m(double lat_a, double cos_a, double lat_b, double cos_b, double sin_lon)
{
    if (sin_lon == 0.0) return lat_distance(lat_a, lat_b);
    double sin_lat = sin((radians(lat_b) - radians(lat_a)) / 2);
    return arc_m(sin_lat * sin_lat + cos_a * cos_b * sin_lon * sin_lon);
}

static double half_lon_sine(double a, double b)
{
    return sin((radians(b) - radians(a)) / 2);
}

double geo_distance(struct geo_point a, struct geo_point b)
{
    return distance_m(a.lat, cos(radians(a.lat)), b.lat, cos(radians(b.lat)), half_lon_sine(a.lon, b.lon));
}

/* ---- Points in a shape ---- */

static double half_height_m(const struct geo_shape *s)
{
    return s->unit * (s->type == GEO_CIRCLE ? s->radius : s->height / 2);
}
static double half_width_m(const struct geo_shape *s)
{
    return s->unit * (s->type == GEO_CIRCLE ? s->radius : s->width / 2);
}

/* How far the shape extends to the east, by spherical trigonometry; infinite if it may contain a pole. */
static double lon_reach(const struct geo_shape *s, double lat_reach)
{
    double farthest = fabs(s->center.lat) + lat_reach, angle = half_width_m(s) / EARTH_RADIUS_M;
    if (!(farthest < 89) || !(angle < M_PI / 2)) return INFINITY;
    if (s->type == GEO_CIRCLE) return degrees(asin(fmin(sin(angle) / cos(radians(s->center.lat)), 1)));
    return 2 * degrees(asin(fmin(sin(angle / 2) / cos(radians(farthest)), 1))); /* where meridians are closest */
}

#define ROUNDING (1 + 1e-6) /* margin of the checks that reject a point without computing its distance */

void geo_shape_prepare(struct geo_shape *s)
{
    s->lat_reach = degrees(half_height_m(s) / EARTH_RADIUS_M) * ROUNDING + 1e-9;
    s->lon_reach = lon_reach(s, s->lat_reach) * ROUNDING + 1e-9;
    s->cos_center = cos(radians(s->center.lat));
}

static bool out_of_reach(const struct geo_shape *s, struct geo_point p)
{
    double lon = fabs(p.lon - s->center.lon);
    return fabs(p.lat - s->center.lat) > s->lat_reach || (lon > 180 ? 360 - lon : lon) > s->lon_reach;
}

static bool box_holds(const struct geo_shape *s, struct geo_point p, double cos_p, double sin_lon)
{
    if (lat_distance(p.lat, s->center.lat) > s->height * s->unit / 2) return false;
    return !(distance_m(p.lat, cos_p, p.lat, cos_p, sin_lon) > s->width * s->unit / 2);
}

bool geo_shape_holds(const struct geo_shape *s, struct geo_point p, double *distance)
{
    if (out_of_reach(s, p)) return false;
    double cos_p = cos(radians(p.lat)), sin_lon = half_lon_sine(s->center.lon, p.lon);
    if (s->type == GEO_BOX && !box_holds(s, p, cos_p, sin_lon)) return false;
    double d = distance_m(s->center.lat, s->cos_center, p.lat, cos_p, sin_lon);
    if (s->type == GEO_CIRCLE && d > s->radius * s->unit) return false;
    *distance = d;
    return true;
}

/* ---- Covering a shape with cells ---- */

static struct area bounds_of(const struct geo_shape *s)
{
    double lon = s->center.lon, lat = s->center.lat, lat_delta = degrees(half_height_m(s) / EARTH_RADIUS_M);
    /* Meridians are closest towards the pole of this hemisphere. */
    double narrow = lat < 0 ? lat - lat_delta : lat + lat_delta;
    double lon_delta = degrees(half_width_m(s) / EARTH_RADIUS_M / cos(radians(narrow)));
    return (struct area){
        .min_lon = lon - lon_delta, .max_lon = lon + lon_delta, .min_lat = lat - lat_delta, .max_lat = lat + lat_delta};
}

/* The number of steps at which a cell and its neighbours still cover a circle. */
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

/* Adds or subtracts one in the bits of one axis, wrapping around the globe. */
static uint64_t move_axis(uint64_t bits, uint64_t axis, unsigned steps, int by)
{
    uint64_t others = ~axis >> (64 - steps * 2), own = bits & axis;
    if (by > 0) own += others + 1; /* the carry runs through the bits of the other axis */
    if (by < 0) own = (own | others) - (others + 1);
    return own & (axis >> (64 - steps * 2));
}

static struct cell neighbour(struct cell c, int east, int north)
{
    uint64_t lon = east == 0 ? c.bits & LON_BITS : move_axis(c.bits, LON_BITS, c.steps, east);
    uint64_t lat = north == 0 ? c.bits & LAT_BITS : move_axis(c.bits, LAT_BITS, c.steps, north);
    return (struct cell){.bits = lon | lat, .steps = c.steps};
}

/* The order in which Redis searches. */
static const struct {
    int east, north;
} directions[GEO_RANGES_MAX] = {{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};

/* NaN bounds (of an infinite radius) count as covered: the cells are the largest possible. */
static bool covers(struct cell center, const struct area *bounds)
{
    return !(area_of(neighbour(center, 0, 1)).max_lat < bounds->max_lat ||
             area_of(neighbour(center, 0, -1)).min_lat > bounds->min_lat ||
             area_of(neighbour(center, 1, 0)).max_lon < bounds->max_lon ||
             area_of(neighbour(center, -1, 0)).min_lon > bounds->min_lon);
}

/* True if the shape does not cross the border of the center cell on this side. Cells of one step are never left out:
 * there, east and west are the same cell. */
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
