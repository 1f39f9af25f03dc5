/* The native core: one extension module, `retroscope.recorder._core`, shared by recording and replay.
 * Every topic adds its own functions to the module. */
#include "core.h"

PyInterpreterState *core_interpreter;

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "retroscope.recorder._core",
    .m_doc = "Native core of Retroscope; see _core.pyi.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__core(void)
{
    static int (*const topics[])(PyObject *) = {
        consumer_register, control_register, startup_register, hidden_register, boundary_register, callback_register,
        reference_register, path0_register, threads_register, contexts_register, identity_register,
        address_register, collector_register,
        scan_register, maps_register, loading_register, foreign_register, signal_calls_register,
        family_register, redacted_register, block_register, build_register, greenlets_register,
        allocations_register, terminal_line_register, own_classes_register,
    };
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    core_interpreter = PyInterpreterState_Main();
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        if (topics[i](module) < 0) {
            Py_DECREF(module);
            return NULL;
        }
    }
    return module;
}
