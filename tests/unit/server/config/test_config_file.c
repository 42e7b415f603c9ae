#include "server/config/config_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/words.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Words ---- */

static void check_split(const char *line, size_t count, const char *const *words)
{
    struct word_list w;
    if (words_split(bytes_str(line), &w) != 0) fail_msg("[%s] was refused", line);
    assert_int_equal(w.count, count);
    for (size_t i = 0; i < count; i++) assert_string_equal(w.words[i], words[i]);
    words_release(&w);
}

#define CHECK_SPLIT(line, ...)                                                                                         \
    do {                                                                                                               \
        static const char *const words_[] = {__VA_ARGS__};                                                             \
        check_split(line, COUNT(words_), words_);                                                                      \
    } while (0)

static void test_words(void **state)
{
    check_split("", 0, NULL);
    check_split("  \t ", 0, NULL);
    CHECK_SPLIT("port 6379", "port", "6379");
    CHECK_SPLIT("  save\t900   1  ", "save", "900", "1");
    CHECK_SPLIT("save \"\"", "save", "");
    CHECK_SPLIT("a '' \"\"", "a", "", "");
    CHECK_SPLIT("dir \"/a b/c\"", "dir", "/a b/c");
    CHECK_SPLIT("x \"a\\n\\r\\t\\b\\a\\\\\\\"\\q\"", "x", "a\n\r\t\b\a\\\"q");
    CHECK_SPLIT("x \"\\x41\\xfF\\xg1\\x4\"", "x", "A\xffxg1x4");
    CHECK_SPLIT("x 'a\\'b\\n\"'", "x", "a'b\\n\"");
    CHECK_SPLIT("x a\"b c\"", "x", "ab c");
    CHECK_SPLIT("x a\\nb", "x", "a\\nb");
}

static void test_unbalanced_quotes_are_refused(void **state)
{
    static const char *const lines[] = {"a \"b", "a 'b", "a \"b\"c", "a 'b'c", "a \"b\\\"",
                                        "\"",    "'",    "a \"\\",   "a '\\'"};
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct word_list w;
        if (words_split(bytes_str(lines[i]), &w) != -EINVAL) fail_msg("[%s] was taken", lines[i]);
    }
}

/* Words are C strings, so a zero byte is refused instead of cutting a word off. */
static void test_a_zero_byte_is_written_in_another_way(void **state)
{
    struct word_list w;
    struct bytes_buf line = {NULL, 0, 0};
    assert_int_equal(words_split(BYTES_LIT("requirepass \"a\\x00b\""), &w), 0);
    assert_string_equal(w.words[1], "a" BYTES_TEXT_NUL "b");
    word_append(&line, w.words[1]);
    assert_true(bytes_equal(bytes_buf_view(&line), BYTES_LIT("\"a\\x00b\"")));
    bytes_buf_release(&line);
    words_release(&w);
    assert_int_equal(words_split(BYTES_LIT("dir a\0b"), &w), 0);
    assert_string_equal(w.words[1], "a" BYTES_TEXT_NUL "b");
    words_release(&w);
}

/* Every word can be written on one line and read back. */
static void test_random_words_survive_writing_and_reading(void **state)
{
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 20000; round++) {
        char word[16];
        size_t len = rng_below(&rng, sizeof(word));
        for (size_t i = 0; i < len; i++) {
            static const char often[] = "\"'\\ \n#x0a";
            word[i] = rng_below(&rng, 2) ? often[rng_below(&rng, sizeof(often) - 1)] : (char)(1 + rng_below(&rng, 255));
        }
        word[len] = '\0';
        struct bytes_buf line = {NULL, 0, 0};
        bytes_buf_append(&line, "name ", 5);
        (round % 2 ? word_append : word_append_quoted)(&line, word);
        assert_null(memchr(line.data, '\n', line.len));
        struct word_list w;
        assert_int_equal(words_split(bytes_buf_view(&line), &w), 0);
        assert_int_equal(w.count, 2);
        assert_string_equal(w.words[1], word);
        words_release(&w);
        bytes_buf_release(&line);
    }
}

/* ---- Texts ---- */

/* Every directive as "name|word|word;". */
static int record(void *ctx, char **words, size_t count, struct config_error *err)
{
    struct bytes_buf *out = ctx;
    if (strcmp(words[0], "bad") == 0) return config_fail(err, "no %s", words[0]);
    for (size_t i = 0; i < count; i++) bytes_buf_printf(out, "%s%s", i > 0 ? "|" : "", words[i]);
    bytes_buf_append(out, ";", 1);
    return 0;
}

static int visit(const char *text, struct bytes_buf *out, struct config_failure *failure)
{
    struct config_visitor visitor = {.ctx = out, .each = record};
    return config_text_visit(sys_real(), bytes_str(text), &visitor, failure);
}

static void check_visit(const char *text, const char *expected)
{
    struct bytes_buf out = {NULL, 0, 0};
    struct config_failure failure;
    assert_int_equal(visit(text, &out, &failure), 0);
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    bytes_buf_release(&out);
}

static void test_comments_blank_lines_and_line_ends(void **state)
{
    check_visit("", "");
    check_visit("# c\n\n  # d\n\t\nport 1\r\nPORT 2\n  Dir \"#x\"  \nlast 3", "port|1;port|2;dir|#x;last|3;");
    check_visit("a # b\n", "a|#|b;");
}

static void test_a_failure_names_line_text_and_reason(void **state)
{
    struct bytes_buf out = {NULL, 0, 0};
    struct config_failure f;
    assert_int_equal(visit("a 1\n# c\n\n  bad \"x y\"  \nb 2\n", &out, &f), -EINVAL);
    assert_int_equal(f.line, 4);
    assert_string_equal(f.text, "bad \"x y\"");
    assert_string_equal(f.error.text, "no bad");
    assert_string_equal(f.file, "");
    assert_int_equal(visit("a \"1\n", &out, &f), -EINVAL);
    assert_string_equal(f.error.text, "Unbalanced quotes in configuration line");
    bytes_buf_release(&out);
}

/* ---- Includes ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_dir(void **state)
{
    char *dir = strdup("/tmp/lockstep-config-XXXXXX");
    *state = dir;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    char command[256];
    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    int rc = system(command);
    free(*state);
    return rc;
}

static void test_includes_are_read_in_place(void **state)
{
    char text[1024];
    write_file(*state, "a.conf", "a 1\n");
    write_file(*state, "b.conf", "b 2\ninclude \"/dev/null\"\n");
    write_file(*state, "c.txt", "c 3\n");
    snprintf(text, sizeof(text), "first 0\ninclude %s/*.conf\ninclude '%s/c.txt'\nINCLUDE %s/*.none\nlast 9\n",
             (char *)*state, (char *)*state, (char *)*state);
    check_visit(text, "first|0;a|1;b|2;c|3;last|9;");
}

static void test_an_include_that_fails_says_where(void **state)
{
    struct bytes_buf out = {NULL, 0, 0};
    struct config_failure f;
    char text[512], path[256];
    write_file(*state, "x.conf", "ok 1\n\nbad line\n");
    snprintf(path, sizeof(path), "%s/x.conf", (char *)*state);
    snprintf(text, sizeof(text), "include %s\n", path);
    assert_int_equal(visit(text, &out, &f), -EINVAL);
    assert_int_equal(f.line, 3);
    assert_string_equal(f.file, path);
    assert_string_equal(f.text, "bad line");
    assert_int_equal(visit("\ninclude /nonexistent/file\n", &out, &f), -ENOENT);
    assert_int_equal(f.line, 2);
    assert_string_equal(f.error.text, "can't open config file '/nonexistent/file': No such file or directory");
    assert_int_equal(visit("include a b\n", &out, &f), -EINVAL);
    bytes_buf_release(&out);
}

static void test_a_file_that_includes_itself_ends(void **state)
{
    struct bytes_buf out = {NULL, 0, 0};
    struct config_failure f;
    char text[512];
    snprintf(text, sizeof(text), "include %s/self.conf\n", (char *)*state);
    write_file(*state, "self.conf", text);
    assert_int_equal(visit(text, &out, &f), -EINVAL);
    assert_string_equal(f.error.text, "includes are nested too deeply");
    bytes_buf_release(&out);
}

/* ---- Command lines ---- */

static void check_arguments(const char *file, bool from_stdin, const char *options, int argc, const char *const *argv)
{
    struct config_arguments args;
    config_arguments_parse(argc, (char **)argv, &args);
    assert_int_equal(args.action, CONFIG_ACTION_RUN);
    if (file == NULL)
        assert_null(args.file);
    else
        assert_string_equal(args.file, file);
    assert_int_equal(args.from_stdin, from_stdin);
    bytes_buf_append(&args.options, "", 1);
    assert_string_equal(args.options.data, options);
    config_arguments_release(&args);
}

#define CHECK_ARGUMENTS(file, from_stdin, options, ...)                                                                \
    do {                                                                                                               \
        static const char *const argv_[] = {"lockstep-server", ##__VA_ARGS__};                                         \
        check_arguments(file, from_stdin, options, COUNT(argv_), argv_);                                               \
    } while (0)

static void test_command_line_becomes_text(void **state)
{
    CHECK_ARGUMENTS(NULL, false, "");
    CHECK_ARGUMENTS("/etc/r.conf", false, "", "/etc/r.conf");
    CHECK_ARGUMENTS(NULL, true, "", "-");
    CHECK_ARGUMENTS("f", true, "port \"1\" ", "f", "--port", "1", "-");
    CHECK_ARGUMENTS(NULL, true, "port \"1\" ", "-", "--port", "1");
    CHECK_ARGUMENTS(NULL, false, "port \"7000\" \nslaveof \"host port\" ", "--port", "7000", "--slaveof", "host port");
    CHECK_ARGUMENTS(NULL, false, "slaveof \"h\" \"1\" \nport \"2\" ", "--slaveof", "h", "1", "--port", "2");
    CHECK_ARGUMENTS(NULL, false, "port \"6379\" \"6380\" ", "--port", "6379", "6380");
}

static void test_values_may_start_with_dashes(void **state)
{
    CHECK_ARGUMENTS(NULL, false, "port \"--loglevel\" \"verbose\" ", "--port", "--loglevel", "verbose");
    CHECK_ARGUMENTS(NULL, false, "port \"--bla\" \nloglevel \"verbose\" ", "--port", "--bla", "--loglevel", "verbose");
    CHECK_ARGUMENTS(NULL, false, "replicaof \"--127.0.0.1\" \nabc ", "--replicaof", "--127.0.0.1", "--abc");
    CHECK_ARGUMENTS(NULL, false, "maxmemory 700mb \nmaxmemory-policy volatile-lru ", "--maxmemory 700mb",
                    "--maxmemory-policy volatile-lru");
}

static void test_save_may_stand_without_a_value(void **state)
{
    CHECK_ARGUMENTS(NULL, false, "save \"\"\nloglevel \"verbose\" ", "--save", "--loglevel", "verbose");
    CHECK_ARGUMENTS(NULL, false, "loglevel \"verbose\" \nsave \"\"", "--loglevel", "verbose", "--save");
    CHECK_ARGUMENTS(NULL, false, "save \"\" \nport \"1\" ", "--save", "", "--port", "1");
    CHECK_ARGUMENTS(NULL, false, "proc-title-template \"--save\" \nsave \"\" ", "--proc-title-template", "--save",
                    "--save", "");
}

static void test_actions(void **state)
{
    static const struct {
        const char *word;
        enum config_action action;
    } examples[] = {{"-v", CONFIG_ACTION_VERSION},
                    {"--version", CONFIG_ACTION_VERSION},
                    {"-h", CONFIG_ACTION_HELP},
                    {"--help", CONFIG_ACTION_HELP},
                    {"--test-memory", CONFIG_ACTION_TEST_MEMORY},
                    {"--check-system", CONFIG_ACTION_CHECK_SYSTEM}};
    for (size_t i = 0; i < COUNT(examples); i++) {
        const char *argv[] = {"lockstep-server", examples[i].word};
        struct config_arguments args;
        config_arguments_parse(2, (char **)argv, &args);
        assert_int_equal(args.action, examples[i].action);
        config_arguments_release(&args);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_unbalanced_quotes_are_refused),
        cmocka_unit_test(test_a_zero_byte_is_written_in_another_way),
        cmocka_unit_test(test_random_words_survive_writing_and_reading),
        cmocka_unit_test(test_comments_blank_lines_and_line_ends),
        cmocka_unit_test(test_a_failure_names_line_text_and_reason),
        cmocka_unit_test_setup_teardown(test_includes_are_read_in_place, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_an_include_that_fails_says_where, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_a_file_that_includes_itself_ends, make_dir, remove_dir),
        cmocka_unit_test(test_command_line_becomes_text),
        cmocka_unit_test(test_values_may_start_with_dashes),
        cmocka_unit_test(test_save_may_stand_without_a_value),
        cmocka_unit_test(test_actions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
