NAME        columns
ROWS
 N  Obj     
 G  cover_0 
 G  cover_1 
 L  limit_0 
 L  limit_1 
 L  limit_2 
COLUMNS
    MARK0000  'MARKER'                 'INTORG'
    y_0       Obj       31000
    y_0       cover_1   2
    y_0       limit_0   0.1
    y_0       limit_1   0.333333333333333
    y_1       Obj       66000
    y_1       cover_1   4
    y_1       limit_0   0.2
    y_1       limit_1   0.333333333333333
    y_2       Obj       85000
    y_2       cover_1   2
    y_2       limit_2   0.0566666666666667
    y_3       Obj       100000
    y_3       cover_0   4
    y_3       cover_1   1
    y_3       limit_0   0.2
    y_3       limit_1   0.333333333333333
    y_4       Obj       100000
    y_4       cover_1   4
    y_4       limit_0   0.2
    y_4       limit_1   0.333333333333333
    y_5       Obj       252000
    y_5       cover_0   4
    y_5       cover_1   1
    y_5       limit_2   0.168
    y_6       Obj       280000
    y_6       cover_0   4
    y_6       cover_1   9
    y_6       limit_0   0.8
    y_6       limit_1   0.333333333333333
    u_0       Obj       282931
    u_0       cover_0   1
    u_1       Obj       204907
    u_1       cover_1   1
    MARK0001  'MARKER'                 'INTEND'
RHS
    RHS_V     cover_0   4
    RHS_V     cover_1   9
    RHS_V     limit_0   1
    RHS_V     limit_1   1
    RHS_V     limit_2   1
BOUNDS
 LI BOUND     y_0       0
 LI BOUND     y_1       0
 LI BOUND     y_2       0
 LI BOUND     y_3       0
 LI BOUND     y_4       0
 LI BOUND     y_5       0
 LI BOUND     y_6       0
 UI BOUND     u_0       4
 UI BOUND     u_1       9
ENDATA
