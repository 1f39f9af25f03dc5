/* Addresses that default reprs print are inputs: replay shows those of the recording.
 *
 * The repr of such a type is made as ever; the numbers 0x… in it are recorded in their order, and put in
 * the place of its own ones in replay. */
#include "branch.h"
#include "control.h"
#include "decode.h"
#include "encode.h"
#include "replay.h"

#include <string.h>
#include <structmember.h>

typedef struct {
    PyTypeObject *type;
    reprfunc was;
} patched_repr;

static patched_repr patched[64];
static size_t patched_used;
static reprfunc object_repr;

static reprfunc was_of(PyTypeObject *type)
{
    for (; type; type = type->tp_base)
        for (size_t i = 0; i < patched_used; i++)
            if (patched[i].type == type)
                return patched[i].was;
    return object_repr;
}

/* The next 0x… in text from *at: its value, and *at, *end around it; 0 when there is none. */
static int next_address(PyObject *text, Py_ssize_t *at, Py_ssize_t *end, uint64_t *value)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(text);
    for (Py_ssize_t i = *at; i + 2 < n; i++) {
        if (PyUnicode_READ_CHAR(text, i) != '0' || PyUnicode_READ_CHAR(text, i + 1) != 'x')
            continue;
        Py_ssize_t j = i + 2;
        uint64_t v = 0;
        for (; j < n && j < i + 18; j++) {
            Py_UCS4 c = PyUnicode_READ_CHAR(text, j);
            if (c >= '0' && c <= '9')
                v = v * 16 + (c - '0');
            else if (c >= 'a' && c <= 'f')
                v = v * 16 + (c - 'a' + 10);
            else
                break;
        }
        if (j == i + 2)
            continue;
        *at = i;
        *end = j;
        *value = v;
        return 1;
    }
    return 0;
}

static int record_addresses(PyObject *text)
{
    record_writer w;
    uint64_t value;
    uint32_t n = 0;
    Py_ssize_t at = 0, end;
    for (; next_address(text, &at, &end, &value); at = end)
        n++;
    record_begin(&w, 0, KIND_ADDRESS, 0, 0);
    write_bytes(&w, "(", 1);
    write_count(&w, n);
    for (at = 0; next_address(text, &at, &end, &value); at = end) {
        write_bytes(&w, "i", 1);
        write_bytes(&w, &value, 8);
    }
    return record_end(&w);
}

/* text with the recorded addresses; steals text. */
static PyObject *replayed_addresses(PyObject *text)
{
    record_view record;
    replay_expect_own(KIND_ADDRESS, &record);
    const char *p = record.payload + 5, *last = record.payload + record.size;
    PyObject *result = PyUnicode_FromString("");
    Py_ssize_t at = 0, done = 0, end;
    uint64_t value;
    for (; result && next_address(text, &at, &end, &value); at = done = end) {
        if (last - p < 9)
            replay_diverged("a default repr has more addresses than in the recording: %U", text);
        memcpy(&value, p + 1, 8);
        p += 9;
        PyUnicode_AppendAndDel(&result, PyUnicode_Substring(text, done, at));
        char digits[20];
        snprintf(digits, sizeof digits, "0x%llx", (unsigned long long)value);
        PyUnicode_AppendAndDel(&result, PyUnicode_FromString(digits));
    }
    if (p != last)
        replay_diverged("a default repr has fewer addresses than in the recording: %U", text);
    if (result)
        PyUnicode_AppendAndDel(&result, PyUnicode_Substring(text, done, PyUnicode_GET_LENGTH(text)));
    Py_DECREF(text);
    stream_take();
    return result;
}

static PyObject *address_repr(PyObject *object)
{
    PyObject *text = was_of(Py_TYPE(object))(object);
    if (!text || core_hidden || core_mode == MODE_OFF || !PyUnicode_Check(text) || core_is_elsewhere())
        return text;
    if (core_mode == MODE_REPLAY)
        return core_looking || branch_lacks_addresses() ? text : replayed_addresses(text);
    if (record_addresses(text) < 0)
        Py_CLEAR(text);
    return text;
}

/* The default repr. Another function than that of the types with reprs of their own: a type whose slot is its base's
 * inherits it, where a sub-interpreter makes static types ready. */
static PyObject *default_repr(PyObject *object)
{
    return address_repr(object);
}

static void replace_in_wrapper(PyTypeObject *type, reprfunc now)
{
    PyObject *dict = PyObject_GetAttrString((PyObject *)type, "__dict__");
    PyObject *wrapper = dict ? PyMapping_GetItemString(dict, "__repr__") : NULL;
    if (wrapper && Py_IS_TYPE(wrapper, &PyWrapperDescr_Type) && PyDescr_TYPE(wrapper) == type)
        ((PyWrapperDescrObject *)wrapper)->d_wrapped = (void *)now;
    PyErr_Clear();
    Py_XDECREF(wrapper);
    Py_XDECREF(dict);
}

/* In this type and in those below it that took `was` over from it. */
static int replace_inherited(PyTypeObject *type, reprfunc was)
{
    if (type->tp_repr == was)
        type->tp_repr = was == object_repr ? default_repr : address_repr;
    PyObject *subtypes = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    int failed = subtypes ? 0 : -1;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(subtypes); i++)
        failed = replace_inherited((PyTypeObject *)PyList_GET_ITEM(subtypes, i), was);
    Py_XDECREF(subtypes);
    return failed;
}

static int patch(PyTypeObject *type)
{
    if (type->tp_repr == object_repr || type->tp_repr == default_repr || type->tp_repr == address_repr)
        return 0;
    if (patched_used == sizeof patched / sizeof *patched) {
        PyErr_SetString(PyExc_RuntimeError, "too many types print addresses");
        return -1;
    }
    reprfunc was = type->tp_repr;
    patched[patched_used++] = (patched_repr){(PyTypeObject *)Py_NewRef(type), was};
    replace_in_wrapper(type, address_repr);
    return replace_inherited(type, was);
}

static PyObject *take_over(PyObject *Py_UNUSED(module), PyObject *types)
{
    if (!PyTuple_Check(types))
        return PyErr_Format(PyExc_TypeError, "a tuple of types is wanted");
    object_repr = PyBaseObject_Type.tp_repr;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types); i++)
        if (patch((PyTypeObject *)PyTuple_GET_ITEM(types, i)) < 0)
            return NULL;
    if (patch(&PyCapsule_Type) < 0 || patch(&PyAsyncGen_Type) < 0 || replace_inherited(&PyBaseObject_Type, object_repr) < 0)
        return NULL;
    replace_in_wrapper(&PyBaseObject_Type, default_repr);
    Py_RETURN_NONE;
}

static PyObject *prints(PyObject *Py_UNUSED(module), PyObject *type)
{
    if (!PyType_Check(type))
        return PyErr_Format(PyExc_TypeError, "a type is wanted");
    if (patch((PyTypeObject *)type) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"address_take_over", take_over, METH_O,
     "address_take_over(types): the reprs of these types, and the default repr, print recorded addresses."},
    {"address_prints", prints, METH_O, "address_prints(type): so does the repr of this type."},
    {0},
};

int address_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
