{# Which columns of rows `width` wide an invocation takes: j0 and so on, `step` apart, so that neighbours read neighbouring
   memory. A row is that of `step` invocations; what lies beyond its end is not live, and repeats the last column. #}
{% macro columns_of(width, columns) %}
    let step = ({{ width }} + {{ columns - 1 }}u) / {{ columns }}u;
{% for k in range(columns) %}
    let is_live{{ k }} = i % step + {{ k }}u * step < {{ width }};
    let j{{ k }} = min(i % step + {{ k }}u * step, {{ width }} - 1u);
{% endfor %}
{% endmacro %}
