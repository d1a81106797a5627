# Planted bugs.
#
# planted/<name>/<file>: a copy of a file of src with `from` turned into `to`. It is compiled into a
# build of the tests ahead of the library's, and they must report it.
function(bpcuda_bad_copy name file from to)
    set(source ${PROJECT_SOURCE_DIR}/src/${file})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    string(REPLACE "${from}" "${to}" bad "${text}")
    if(bad STREQUAL text)
        message(FATAL_ERROR "planted bug ${name}: ${file} has no \"${from}\" any more")
    endif()
    set(copy ${CMAKE_CURRENT_BINARY_DIR}/planted/${name}/${file})
    file(CONFIGURE OUTPUT ${copy} CONTENT "${bad}" @ONLY)
endfunction()

# In a file of src that the kernel file of src/cpu is or includes: a reader of the table of cases
# reports the op.
function(bpcuda_planted name op kernel file from to)
    bpcuda_bad_copy(${name} ${file} "${from}" "${to}")
    set(dir ${CMAKE_CURRENT_BINARY_DIR}/planted/${name})
    set(kernel cpu/${kernel})
    if(file STREQUAL kernel)
        set(kernel ${dir}/${kernel})
    else()
        set(kernel ${PROJECT_SOURCE_DIR}/src/${kernel})
    endif()
    add_executable(planted_${name} plain/test_cases.c)
    foreach(level ${cpu_levels})
        foreach(f64 0 1)
            set(object planted_${name}_${level}_f64_${f64})
            add_library(${object} OBJECT ${kernel})
            target_link_libraries(${object} PRIVATE bpcuda_flags)
            target_include_directories(${object} BEFORE PRIVATE ${dir})
            target_include_directories(${object} PRIVATE
                ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
            bpcuda_level_flags(${object} ${level} ${f64})
            target_sources(planted_${name} PRIVATE $<TARGET_OBJECTS:${object}>)
        endforeach()
    endforeach()
    target_link_libraries(planted_${name} PRIVATE bpcuda_test_support)
    foreach(reader ${ARGN})
        bpcuda_test(planted_${name}_${reader} planted planted_${name} --must-catch=${op} ${reader})
    endforeach()
endfunction()

bpcuda_planted(wrong_sign log_softmax log_softmax.c cpu/log_softmax.c
    "dy[j] - y[j] * sum" "dy[j] + y[j] * sum" gradients golden)
bpcuda_planted(missing_mean cross_entropy cross_entropy.c cpu/cross_entropy.c
    "= 1 / (double)in->shape.dim[0]" "= 1" gradients second fused golden)
bpcuda_planted(lost_smoothing cross_entropy_with cross_entropy.c cpu/cross_entropy.c
    "(real)(w->flat * t.dy)" "-(real)(w->flat * t.dy)" gradients fused)
bpcuda_planted(last_block exp elementwise.c cpu/elementwise.c
    "parts(l->size[0], grain), packed_fn" "l->size[0] / grain, packed_fn" truth)
bpcuda_planted(stale_sum attention attention.c cpu/attention.c
    "s->sum[j] *= (double)shrunk[j]" "(void)0" fused)
bpcuda_planted(late_diagonal attention attention.c cpu/attention.c
    "j < at->k + p - at->q; j++" "j < at->k + p - at->q - 1; j++" gradients golden)
bpcuda_planted(lost_taps conv2d conv2d.c cpu/conv2d.c
    "m.accumulate = r > 0" "m.accumulate = 0" fused golden)
bpcuda_planted(one_place max_pool pooling.c cpu/pooling.c
    "same(k, number(tap + s))" "same(k, number(tap))" gradients golden)
# A formula that every device shares, wrong on all of them alike.
bpcuda_planted(wrong_value softplus unary.c door/unary.def
    "y = softplus_of(x)" "y = softplus_of(2 * x) / 2" gradients golden)
bpcuda_planted(wrong_slope tanh unary.c door/unary.def
    "dx = dy * ((1 - y) * (1 + y))" "dx = dy * (1 - y)" gradients second golden)
bpcuda_planted(far_out sigmoid unary.c door/formulas.h
    "(x < 0 ? e : 1) / (1 + e)" "x < 0 ? 1 - 1 / (1 + e) : 1 / (1 + e)" truth)
bpcuda_planted(uncorrected adam optimizers.c door/optimizers.def
    "sqrt_of(v * k)" "sqrt_of(v)" golden)

# In a file of src/autograd or src/ops: random graphs report it.
function(bpcuda_planted_graphs name file from to)
    bpcuda_bad_copy(${name} ${file} "${from}" "${to}")
    add_executable(planted_${name} ${graph_sources}
        ${CMAKE_CURRENT_BINARY_DIR}/planted/${name}/${file})
    target_link_libraries(planted_${name} PRIVATE bpcuda_test_support)
    bpcuda_test(planted_${name} planted planted_${name} --count=300 --must-catch)
endfunction()

bpcuda_planted_graphs(sink_overwrites autograd/deliver.c
    "*add = open_segment(g->walk, leaf->store, seg)"
    "*add = 0, open_segment(g->walk, leaf->store, seg)")
bpcuda_planted_graphs(composed_twice autograd/walk.c
    "bp_require_grad(g->call.in[i])"
    "i && bpi_at(g->call.in[i])->storage == bpi_at(g->call.in[i - 1])->storage
         ? in[i - 1] : bp_require_grad(g->call.in[i])")
bpcuda_planted_graphs(handed_too_often autograd/walk.c
    "node->consumers == 1 ? node : NULL" "node")
bpcuda_planted_graphs(not_taken_back core/flat.c "p->segment[i].window = 0" "(void)0")
