/* geo.h -- places on the globe as scores of a sorted set, and shapes as ranges of scores.
 *
 * A score is a cell of 52 bits: 26 halvings of the longitude and 26 of the latitude, interleaved, the longitude's first
 * (a geohash, but for latitudes up to 85.05 degrees, where a Mercator map ends). Cells of fewer steps are larger and
 * hold a range of scores; a shape is covered by a cell that is about as large as it, and the eight around that. Every
 * calculation is the one that Redis makes, in its order, so that results are the same to the last bit. */
#ifndef LOCKSTEP_STORAGE_GEO_H
#define LOCKSTEP_STORAGE_GEO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct geo_point {
    double lon, lat; /* in degrees */
};

bool geo_is_valid(struct geo_point p);                       /* within the limits above; NaN is not */
uint64_t geo_cell_of(struct geo_point p);                    /* of a valid point; a double holds it exactly */
struct geo_point geo_point_of_score(double score);           /* the middle of the cell; of any score, sensible or not */
double geo_distance(struct geo_point a, struct geo_point b); /* in metres, on a sphere */

enum { GEO_HASH_CHARS = 11 };
void geo_format_hash(struct geo_point p, char out[GEO_HASH_CHARS]); /* as elsewhere: latitudes up to 90 degrees */

enum geo_shape_type { GEO_CIRCLE, GEO_BOX };
struct geo_shape {
    enum geo_shape_type type;
    struct geo_point center;
    double unit;                  /* in metres */
    double radius, width, height; /* in that unit; not negative */
    /* Set by geo_shape_prepare(): nothing beyond these distances from the center, in degrees, is in the shape. */
    double lat_reach, lon_reach, cos_center;
};
void geo_shape_prepare(struct geo_shape *s); /* once the rest is set, for geo_shape_holds() */
bool geo_shape_holds(const struct geo_shape *s, struct geo_point p, double *distance_m /* from the center */);

/* Ranges of scores, from min up to but without max, that hold every place within the shape (and others), in the order
 * in which Redis looks into them. */
enum { GEO_RANGES_MAX = 9 };
struct geo_ranges {
    size_t count;
    struct {
        double min, max;
    } range[GEO_RANGES_MAX];
};
void geo_shape_ranges(const struct geo_shape *s, struct geo_ranges *out);

#endif
