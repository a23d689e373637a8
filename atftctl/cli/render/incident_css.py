"""The style of the page of an incident: one column on a phone, light and dark, on paper, without a font of its own."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ground:#fff;--text:#1f2328;--quiet:#59636e;--line:#d1d9e0;--shade:#f6f8fa;
--curve:#0969da;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0 auto;padding:1rem;max-width:60rem;background:var(--ground);color:var(--text);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Hiragino Sans","Yu Gothic UI","Noto Sans CJK JP",sans-serif;
overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}
h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .25rem;padding-top:1rem;border-top:3px solid var(--line)}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem;padding-bottom:.2rem;border-bottom:1px solid var(--line)}
p{margin:.5rem 0}
.q{color:var(--quiet)}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.good,.bad,.warn{font-weight:600}
.miss{border-left:4px solid var(--warn);background:var(--shade);padding:.5rem .75rem;margin:1rem 0}
.miss ul{margin:.25rem 0;padding-left:1.25rem}
dl{display:grid;grid-template-columns:fit-content(14rem) 1fr;gap:.2rem 1rem;margin:.5rem 0}
dt{color:var(--quiet)}dd{margin:0}
code,pre,kbd{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Noto Sans Mono CJK JP",monospace;font-size:.9em}
code,bdi{unicode-bidi:isolate}
pre{background:var(--shade);padding:.6rem .75rem;margin:.5rem 0;white-space:pre-wrap;border-radius:4px}
kbd{font-weight:600}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line)}
th,.n{overflow-wrap:normal}
.n{white-space:nowrap}
th{color:var(--quiet);font-weight:600;font-size:.9rem}
ins{text-decoration:none;color:var(--good)}del{text-decoration:none;color:var(--bad)}
ol{padding-left:1.5rem;margin:.5rem 0}
figure{margin:1rem 0 1.5rem;break-inside:avoid}
figcaption{font-weight:600}
.plot{display:grid;grid-template-columns:4.5rem 1fr;gap:0 .5rem;margin:.25rem 0}
.y{display:flex;flex-direction:column;justify-content:space-between;text-align:right;font-size:.8rem;color:var(--quiet);
line-height:1;overflow-wrap:normal}
.x{grid-column:2;display:grid;font-size:.8rem;color:var(--quiet);padding-top:.2rem}
.x>span{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 .5rem;padding-right:.3rem;min-width:0}
.x>span+span{padding:0 0 0 .3rem}
svg{display:block;width:100%;height:10rem;background:var(--shade)}
path{fill:none;vector-effect:non-scaling-stroke}
.g{stroke:var(--line);stroke-width:1}
.c{stroke:var(--curve);stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}
.p{stroke-width:5}
.m{stroke:var(--text);stroke-width:1.5;stroke-dasharray:5 4}
.b{stroke:var(--bad);stroke-width:2}
footer{margin-top:3rem;padding-top:.5rem;border-top:1px solid var(--line);color:var(--quiet);font-size:.85rem}
@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;--quiet:#9198a1;--line:#30363d;--shade:#161b22;
--curve:#58a6ff;--good:#3fb950;--bad:#ff7b72;--warn:#d29922}}
@media(max-width:34rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}
table,tbody,tr,td{display:block}thead{display:none}tr{border-bottom:1px solid var(--line);padding:.4rem 0}
td{border:0;padding:.1rem 0}td[data-l]::before{content:attr(data-l) ": ";color:var(--quiet)}
.plot{grid-template-columns:3.6rem 1fr}svg{height:8rem}}
@media print{:root{color-scheme:light;--ground:#fff;--text:#000;--quiet:#444;--line:#bbb;--shade:#fff;--curve:#000;
--good:#000;--bad:#000;--warn:#000}
body{max-width:none;padding:0;font-size:10pt}h1,h2,h3,figcaption{break-after:avoid}tr,dl>div,.miss{break-inside:avoid}
thead{display:table-header-group}pre{border:1px solid #bbb}svg{border:1px solid #bbb;height:7rem}}
@page{margin:15mm}
"""
