// What a program that links libt2v can see of it: every other symbol is hidden.
#pragma once

#define T2V_API __attribute__((visibility("default")))
