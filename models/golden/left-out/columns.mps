NAME        columns
ROWS
 N  Obj     
 G  cover_0 
 G  cover_1 
 L  limit_0 
COLUMNS
    MARK0000  'MARKER'                 'INTORG'
    y_0       Obj       85000
    y_0       cover_1   1
    y_0       limit_0   0.25
    y_1       Obj       170000
    y_1       cover_0   1
    y_1       cover_1   2
    y_1       limit_0   0.5
    y_2       Obj       170000
    y_2       cover_1   2
    y_2       limit_0   0.5
    y_3       Obj       252000
    y_3       cover_0   3
    y_3       limit_0   0.5
    y_4       Obj       252000
    y_4       cover_0   4
    y_4       limit_0   0.5
    u_0       Obj       604702
    u_0       cover_0   1
    u_1       Obj       791337
    u_1       cover_1   1
    MARK0001  'MARKER'                 'INTEND'
RHS
    RHS_V     cover_0   4
    RHS_V     cover_1   2
    RHS_V     limit_0   1
BOUNDS
 LI BOUND     y_0       0
 LI BOUND     y_1       0
 LI BOUND     y_2       0
 LI BOUND     y_3       0
 LI BOUND     y_4       0
 UI BOUND     u_0       4
 UI BOUND     u_1       2
ENDATA
