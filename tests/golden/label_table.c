// build: gcc -O2 -w label_table.c -o $out
// build: gcc -O1 -w -no-pie label_table.c -o $out
// build: clang -O2 -w label_table.c -o $out
// An interpreter's table of labels, also kept in memory that changes: each label is entered with nothing known, what is
// set behind it is.
#include <signal.h>
#include <unistd.h>

volatile int sink;
void *threaded[8];

int main(int count, char **arguments) {
    static void *const labels[] = {&&first, &&second, &&third, &&last};
    int number = 4;
    for (int i = 0; i < 8; i++)
        threaded[i] = labels[(i + count) & 3];
    goto *threaded[count & 7];
first:
    sink = 1;
    number += sink;
    goto *threaded[sink & 7];
second:
    sink = 2;
    kill(number, 9);
    goto *threaded[sink & 7];
third:
    sink = 3;
    number = 6;
    kill(number, 10);
    goto *threaded[sink & 7];
last:
    return number;
}
