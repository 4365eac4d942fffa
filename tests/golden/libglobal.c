// The library of global_export.c: it changes the program's variables by name.
extern int shared;
int copied = 11;

void change(void) {
    shared = 21;
    copied = 22;
}
