/* A planted leak: pools that are created and forgotten.
 *
 * The leak sanitizer must report it and end the program with a status other than 0; that shows that
 * it is on and sees the library's objects, so that its silence about the real tests means
 * something. Without the sanitizer the program ends with 0. */
#include "check.h"
#include "cpu/pool.h"

int main(void)
{
    int created = 0;
    for (int i = 0; i < 10; i++) /* several: a stale copy on the stack may still name the last */
        created += bpi_pool_create(1, check_alloc, check_free, NULL) != NULL;
    check(created == 10, "ten pools were created");
    return check_end();
}
